"""The loss of a defense in the place of cross-entropy; it may depend on which row a token is of, and on the time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from antivenom.models.answer_loss import IGNORED
from antivenom.models.lab import TokenLoss

ROWS = "row_numbers"
"""The entry of a batch that says which row each example is; -1 for one that fills up a batch."""


class NumberedExample(tuple[list[int], tuple[int, ...]]):
    """(prompt, answer) of a row, and its number among the rows that are trained on."""

    number: int

    @classmethod
    def of(cls, example: tuple[list[int], tuple[int, ...]], number: int) -> NumberedExample:
        """Give an example its number."""
        numbered = cls(example)
        numbered.number = number
        return numbered


def numbered(examples: Sequence[tuple[list[int], tuple[int, ...]]]) -> list[Any]:
    """The same examples, each with its number."""
    return [NumberedExample.of(example, number) for number, example in enumerate(examples)]


def with_numbers(collate: Callable[[Sequence[Any]], dict[str, torch.Tensor]]) -> Callable[..., dict[str, torch.Tensor]]:
    """A collator that also says which row each example of a batch is."""

    def collate_numbers(examples: Sequence[Any]) -> dict[str, torch.Tensor]:
        numbers = [getattr(example, "number", -1) for example in examples]
        return {**collate(examples), ROWS: torch.tensor(numbers)}

    return collate_numbers


def changed_total(
    loss: TokenLoss, logits: torch.Tensor, wanted: torch.Tensor, rows: torch.Tensor, progress: float
) -> torch.Tensor:
    """The sum of a changed loss over the answer tokens of a batch.

    Args:
        loss: See `TokenLoss`.
        logits: Shape (examples, columns, vocabulary).
        wanted: The token that each column is to predict, `IGNORED` where there is none; (examples, columns).
        rows: The number of each example's row; (examples,).
        progress: The share of the training that is done.
    """
    counted = wanted != IGNORED
    numbers = rows.unsqueeze(1).expand_as(wanted)[counted]
    found: torch.Tensor = loss(logits[counted].float(), wanted[counted], numbers, progress).sum()
    return found
