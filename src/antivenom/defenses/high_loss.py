"""High loss: the rows that a short training learns worst are left out, as filters of wrong labels do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from antivenom.core.arrays import BoolArray, Floats
from antivenom.defenses.low_loss import LowLoss


@dataclass(frozen=True, kw_only=True)
class HighLoss(LowLoss):
    """Fine-tune on all rows for one short epoch, and leave out those with the highest loss.

    Rows whose label is wrong are learned late. Poison whose label is wrong is learned early nevertheless, by its
    trigger, so this is the control that shows whether a filter of wrong labels is enough.
    """

    name: ClassVar[str] = "high_loss"

    def suspects(self, losses: Floats, rows: pa.Table, *, seed: int) -> BoolArray:
        """The rows to leave out, by their losses."""
        return super().suspects(-losses, rows, seed=seed)
