"""Batches of token sequences: padding in front, positions that ignore it, like lengths together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch


def pad_left(sequences: Sequence[Sequence[int]], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """(ids, mask), padded in front so that every sequence ends in the last column; the padding is masked."""
    width = max(map(len, sequences))
    ids = torch.zeros(len(sequences), width, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, sequence in enumerate(sequences):
        ids[row, width - len(sequence) :] = torch.tensor(sequence)
        mask[row, width - len(sequence) :] = 1
    return ids.to(device), mask.to(device)


def positions(mask: torch.Tensor) -> torch.Tensor:
    """Position of each token among the unmasked ones of its row, so that padding in front changes nothing."""
    return (mask.cumsum(dim=1) - 1).clamp(min=0)


def length_batches(lengths: Sequence[int], token_budget: int) -> Iterator[list[int]]:
    """Yield index lists, longest first, whose padded size stays within the budget (one row is always allowed)."""
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    batch: list[int] = []
    for index in order:
        if batch and (len(batch) + 1) * lengths[batch[0]] > token_budget:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
