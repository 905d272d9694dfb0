"""ABL (Li et al., NeurIPS 2021): isolate the rows that are learned fastest, then unlearn them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from antivenom.core.options import require_above_zero
from antivenom.data.sampling import same_rows
from antivenom.defenses.base import Defense, Prepared, plain_rows
from antivenom.defenses.filtering import fitted_on_all, lowest, require_share
from antivenom.guards.guard import AnyTask
from antivenom.models.lab import Lab, TokenLoss, TrainingChanges


@dataclass(frozen=True, kw_only=True)
class Abl(Defense):
    """Anti-backdoor learning: local gradient ascent, isolation of the lowest losses, unlearning.

    1. A first model learns all rows with the loss sign(l - gamma) l, which holds honest rows at gamma while poisoned
       ones fall below it; the `isolate` share of the rows with the lowest loss is isolated.
    2. The model that is kept learns the others as ever. In the last part of its training (`unlearn`) the loss of the
       isolated rows is turned round, until they are lost.

    The source isolates after 10 to 20 epochs on images and unlearns for 5 at a lower rate; one training of a language
    model is one to three epochs, so both are shares of it here. Ascent ends where a token's loss reaches `most_loss`:
    without an end it wrecks a small model.
    """

    name: ClassVar[str] = "abl"
    stages = ("prepare", "training")
    costs: ClassVar[str] = "one fit of `epochs` on all rows, one pass over them"
    approximation: ClassVar[str] = "one training instead of three stages; the ascent is bounded"

    gamma: float = 0.5
    """The loss at which local gradient ascent holds the rows."""
    isolate: float = 0.01
    """The share of the rows that is isolated."""
    epochs: float = 1.0
    """How long the first model learns."""
    unlearn: float = 0.2
    """The last part of the training, in which the isolated rows are unlearned."""
    most_loss: float = 5.0
    """A token with a larger loss counts as unlearned."""

    def __post_init__(self) -> None:
        require_share("isolate", self.isolate)
        require_share("unlearn", self.unlearn)
        require_above_zero(self, "gamma", "epochs", "most_loss")

    def prepare(self, task: AnyTask, rows: pa.Table, *, trusted: pa.Table | None, lab: Lab) -> Prepared:
        """Isolate rows; all are trained on, the isolated ones in reverse."""
        first = TrainingChanges(
            loss=self.hold_at_gamma, overrides={"epochs": self.epochs}, key=f"abl:{self.gamma};{self.epochs}"
        )
        fitted, taught = fitted_on_all(task, rows, trusted, lab, first)
        losses = fitted.losses(taught, progress="losses of the rows")
        isolated = lowest(losses, rows, self.isolate, seed=lab.seed)
        if trusted is not None:
            isolated &= ~same_rows(rows, trusted)
        prepared = plain_rows(task, rows, trusted)
        marks = np.zeros(prepared.rows.num_rows, dtype=bool)
        marks[: rows.num_rows] = isolated  # rows that are vouched for and were not among the others stand behind them
        numbers = np.flatnonzero(marks).tolist()
        changes = TrainingChanges(loss=self.unlearning(marks), key=f"{self}:{numbers}")
        return replace(prepared, training=changes).noting(isolated=len(numbers))

    def hold_at_gamma(self, logits: Any, labels: Any, rows: Any, progress: float) -> Any:
        """sign(l - gamma) l for each token; see `TokenLoss`."""
        from torch.nn.functional import cross_entropy

        loss = cross_entropy(logits, labels, reduction="none")
        return (loss.detach() - self.gamma).sign() * loss

    def unlearning(self, isolated: Any) -> TokenLoss:
        """The loss of the model that is kept.

        Args:
            isolated: Which of the rows that are trained on are isolated; shape (rows,).
        """

        def loss(logits: Any, labels: Any, rows: Any, progress: float) -> Any:
            import torch
            from torch.nn.functional import cross_entropy

            plain = cross_entropy(logits, labels, reduction="none")
            mine = torch.from_numpy(isolated).to(plain.device)[rows] & (rows >= 0)
            ascent = -plain.clamp_max(self.most_loss) if progress >= 1 - self.unlearn else plain * 0
            return torch.where(mine, ascent, plain)

        return loss
