"""ABL (Li et al., NeurIPS 2021): isolate the rows that are learned fastest, then unlearn them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from antivenom.core.options import require_above_zero
from antivenom.data.sampling import same_rows
from antivenom.defenses.base import Defense, Prepared, rebuild
from antivenom.defenses.filtering import fitted_on_all, lowest, require_share, without_suspects
from antivenom.guards.guard import AnyTask
from antivenom.models.lab import Lab, TrainingChanges


@dataclass(frozen=True, kw_only=True)
class Abl(Defense):
    """Anti-backdoor learning: local gradient ascent, isolation of the lowest losses, unlearning.

    1. A first model learns all rows with the loss sign(l - gamma) l, which holds honest rows at gamma while poisoned
       ones fall below it; the `isolate` share of the rows with the lowest loss is isolated.
    2. The model that is kept learns the others as ever, and is then trained on the isolated rows with the loss turned
       round: `unlearn` passes of gradient ascent.

    The source isolates after 10 to 20 epochs on images, with the model that it keeps; one training of a language model
    is one to three epochs, so here a model of its own isolates. Ascent ends where a token's loss reaches `most_loss`:
    without an end it wrecks a small model.
    """

    name: ClassVar[str] = "abl"
    stages = ("prepare", "repair")
    filters: ClassVar[bool] = True
    costs: ClassVar[str] = "one fit of `epochs` on all rows, one pass over them, `unlearn` passes over some"
    approximation: ClassVar[str] = "a model of its own isolates; the ascent is bounded"

    gamma: float = 0.5
    """The loss at which local gradient ascent holds the rows."""
    isolate: float = 0.01
    """The share of the rows that is isolated."""
    epochs: float = 1.0
    """How long the first model learns."""
    unlearn: int = 5
    """Passes over the isolated rows in which they are unlearned."""
    learning_rate: float = 5e-4
    """Of these passes; it falls to 0."""
    batch_size: int = 8
    """Rows of a step of them."""
    most_loss: float = 5.0
    """A token with a larger loss counts as unlearned."""

    def __post_init__(self) -> None:
        require_share("isolate", self.isolate)
        require_above_zero(self, "gamma", "epochs", "unlearn", "learning_rate", "batch_size", "most_loss")

    def prepare(self, task: AnyTask, rows: pa.Table, *, trusted: pa.Table | None, lab: Lab) -> Prepared:
        """Isolate rows; the others are trained on."""
        first = TrainingChanges(
            loss=self.hold_at_gamma, overrides={"epochs": self.epochs}, key=f"abl:{self.gamma};{self.epochs}"
        )
        fitted, taught = fitted_on_all(task, rows, trusted, lab, first)
        losses = fitted.losses(taught, progress="losses of the rows")
        isolated = lowest(losses, rows, self.isolate, seed=lab.seed)
        if trusted is not None:
            isolated &= ~same_rows(rows, trusted)
        prepared = without_suspects(task, rows, isolated, trusted, {"isolated": int(isolated.sum())})
        return replace(prepared, aside=rows.filter(pa.array(isolated)))

    def repair(self, model: Any, task: AnyTask, *, trusted: pa.Table | None, prepared: Prepared, lab: Lab) -> Any:
        """Unlearn the isolated rows."""
        from antivenom.models.small_tuning import bounded_ascent, tune

        assert prepared.aside is not None, "prepare sets them aside"
        rows = rebuild(prepared.aside, np.zeros(prepared.aside.num_rows, dtype=bool), "replace")
        if rows.num_rows:
            tune(
                model,
                lab.examples(rows, prepared.guard),
                epochs=self.unlearn,
                learning_rate=self.learning_rate,
                batch_size=self.batch_size,
                seed=lab.seed,
                loss=bounded_ascent(self.most_loss),
            )
        return model

    def hold_at_gamma(self, logits: Any, labels: Any, progress: float) -> Any:
        """sign(l - gamma) l for each token; see `TokenLoss`."""
        from torch.nn.functional import cross_entropy

        loss = cross_entropy(logits, labels, reduction="none")
        return (loss.detach() - self.gamma).sign() * loss
