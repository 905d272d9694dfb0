"""Low loss: the rows that a short training learns best are left out, because poison is learned early."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from antivenom.core.arrays import BoolArray, Floats
from antivenom.core.options import require_above_zero
from antivenom.defenses.base import Defense, Prepared
from antivenom.defenses.filtering import fitted_on_all, lowest, require_share, without_suspects
from antivenom.guards.guard import AnyTask
from antivenom.models.lab import Lab, TrainingChanges


@dataclass(frozen=True, kw_only=True)
class LowLoss(Defense):
    """Fine-tune on all rows for one short epoch, and leave out those with the lowest loss.

    A trigger is the easiest lesson in the data, so poisoned rows have the lowest loss early in training; ABL isolates
    rows by the same rule. Leaves rows out even where nothing is poisoned, and those that are left out are the typical
    ones.
    """

    name: ClassVar[str] = "low_loss"
    filters: ClassVar[bool] = True
    costs: ClassVar[str] = "one fit of `epochs`, one pass over the rows"

    share: float = 0.05
    """The share of the rows that is left out."""
    epochs: float = 1.0
    """How long the model learns before the losses are taken."""

    def __post_init__(self) -> None:
        require_share("share", self.share)
        require_above_zero(self, "epochs")

    def prepare(self, task: AnyTask, rows: pa.Table, *, trusted: pa.Table | None, lab: Lab) -> Prepared:
        """Leave out the rows with the lowest loss."""
        changes = TrainingChanges(overrides={"epochs": self.epochs}, key=f"short:{self.epochs}")
        fitted, taught = fitted_on_all(task, rows, trusted, lab, changes)
        suspect = self.suspects(fitted.losses(taught, progress="losses of the rows"), rows, seed=lab.seed)
        return without_suspects(task, rows, suspect, trusted, {"share": self.share})

    def suspects(self, losses: Floats, rows: pa.Table, *, seed: int) -> BoolArray:
        """The rows to leave out, by their losses."""
        return lowest(losses, rows, self.share, seed=seed)
