"""Batches of token sequences: padding in front, positions that ignore it, like lengths together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

ENOUGH_TOKENS = 128
"""Tokens with which a batch already keeps the matrix units busy, so that it need not be filled with shorter rows."""
RAGGED = 0.1
"""How much longer than its shortest row the longest of such a batch may be."""


def pad_left(sequences: Sequence[Sequence[int]], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """(ids, mask), padded in front so that every sequence ends in the last column; the padding is masked."""
    width = max(map(len, sequences))
    ids = torch.zeros(len(sequences), width, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, sequence in enumerate(sequences):
        ids[row, width - len(sequence) :] = torch.tensor(sequence)
        mask[row, width - len(sequence) :] = 1
    return ids.to(device), mask.to(device)


def pad_right(sequences: Sequence[Sequence[int]], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """(ids, mask), padded behind: what a causal model says of a token does not depend on what follows it."""
    width = max(map(len, sequences))
    ids = torch.tensor([[*sequence, *[0] * (width - len(sequence))] for sequence in sequences], dtype=torch.long)
    lengths = torch.tensor([len(sequence) for sequence in sequences])
    mask = (torch.arange(width) < lengths.unsqueeze(1)).long()
    return ids.to(device), mask.to(device)


def positions(mask: torch.Tensor) -> torch.Tensor:
    """Position of each token among the unmasked ones of its row, so that padding in front changes nothing."""
    return (mask.cumsum(dim=1) - 1).clamp(min=0)


def length_batches(
    lengths: Sequence[int], token_budget: int, *, columns: Sequence[int] | None = None
) -> Iterator[list[int]]:
    """Yield index lists, longest first, that waste little on padding and stay within a budget.

    Args:
        lengths: Tokens of each row.
        token_budget: What a batch may take: rows times most columns. One row is always allowed.
        columns: Columns that each row takes in memory, where that is more than its length.
    """
    columns = lengths if columns is None else columns
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    batch: list[int] = []
    widest = 0
    for index in order:
        longest = lengths[batch[0]] if batch else 0
        full = (len(batch) + 1) * max(widest, columns[index]) > token_budget
        ragged = len(batch) * longest >= ENOUGH_TOKENS and lengths[index] * (1 + RAGGED) < longest
        if batch and (full or ragged):
            yield batch
            batch, widest = [], 0
        batch.append(index)
        widest = max(widest, columns[index])
    if batch:
        yield batch
