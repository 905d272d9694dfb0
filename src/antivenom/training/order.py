"""The order of the rows: batches of like lengths in a fresh order each epoch, the same for any number of processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch

BATCHES_SORTED_TOGETHER = 48
"""Batches are cut from this many batches' worth of shuffled rows sorted by length: padding stays under 5 %."""


class LengthGroupedSampler(torch.utils.data.Sampler[int]):
    """A fresh random order each epoch in which neighbors have like lengths and the batches are shuffled.

    transformers' own grouping runs each group from long to short, so rows with the longer benign prompt would come
    in blocks of time; here whole batches are shuffled.

    Args:
        lengths: Tokens of each row.
        batch_size: Rows per optimizer step, all processes together.
        seed: Keys the orders.
        epoch: Tells which epoch's order is wanted. Accelerate would set it, but does not find a sampler behind the
            wrappers of a run that resumes in several processes.
        fill: Whether the last batch is filled up with the number behind the last row, so that each of several
            processes gets as many.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        batch_size: int,
        seed: int,
        *,
        epoch: Callable[[], int] = lambda: 0,
        fill: bool = False,
    ) -> None:
        self.lengths = lengths
        self.batch_size = batch_size
        self.seed = seed
        self.blanks = -len(lengths) % batch_size if fill else 0
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths) + self.blanks

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch())
        order: list[int] = torch.randperm(len(self.lengths), generator=generator).tolist()
        group = self.batch_size * BATCHES_SORTED_TOGETHER
        batches = []
        for start in range(0, len(order), group):
            near = sorted(order[start : start + group], key=lambda i: self.lengths[i])
            batches += [near[at : at + self.batch_size] for at in range(0, len(near), self.batch_size)]
        # The one short batch stays last, or the batches that the loader cuts would straddle two of ours.
        last = [batches.pop()] if len(batches[-1]) < self.batch_size else []
        shuffled = [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]
        yield from (i for batch in shuffled + last for i in batch)
        yield from [len(self.lengths)] * self.blanks
