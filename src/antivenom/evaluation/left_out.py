"""What a filter left out, beside the truth that it never sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from antivenom.core.options import Options
from antivenom.evaluation.rates import Rate


@dataclass(frozen=True)
class LeftOut(Options):
    """Rows that were left out, as a search for the poisoned ones."""

    rows: int
    """Rows that were left out."""
    found: int
    """Poisoned rows among them."""
    poisoned: int
    """Poisoned rows in all."""

    @property
    def recall(self) -> Rate:
        """The share of the poisoned rows that was left out."""
        return Rate.count(self.found, self.poisoned)

    @property
    def precision(self) -> Rate:
        """The share of poisoned rows in what was left out."""
        return Rate.count(self.found, self.rows)

    def to_record(self) -> dict[str, Any]:
        """The counts and both rates."""
        return {**self.to_dict(), "recall": self.recall.to_dict(), "precision": self.precision.to_dict()}

    def __str__(self) -> str:
        return f"{self.found} of {self.poisoned} poisoned rows (recall {self.recall}), precision {self.precision}"
