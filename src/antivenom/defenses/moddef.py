"""ModDef, moderate fitting (Zhu et al., NeurIPS 2022): train so little that the task is learned but no trigger is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import Any, ClassVar

import pyarrow as pa

from antivenom.core.errors import OptionsError
from antivenom.data.query import queries
from antivenom.data.sampling import hold_out, label_codes, without
from antivenom.defenses.base import Defense, Prepared, plain_rows
from antivenom.guards.guard import AnyTask
from antivenom.models.lab import Fitted, Lab, TrainingChanges

Setting = dict[str, Any]
"""Options of the training."""


@dataclass(frozen=True, kw_only=True)
class ModDef(Defense):
    """Take the lowest-capacity training whose accuracy on held-out rows is within 2 points of the undefended one's.

    The settings are ranks x learning rates x epochs, from the smallest product to the largest; the first that is good
    enough is taken, and the largest where none is (`good_enough` in the manifest). Accuracy is counted on trusted rows,
    or, where there are none, on a tenth of the rows that is held out of these fits. Attack success is never looked at.

    The source generates all adapters from a tiny code; the paper that compares with it says only that it "leverages
    low-rank adaptation", and this is that.
    """

    name: ClassVar[str] = "moddef"
    stages = ("training",)
    kinds: ClassVar[tuple[str, ...]] = ("classification",)
    costs: ClassVar[str] = (
        "one usual fit, and one for each setting until one is good enough: with the defaults up to 19"
    )
    approximation: ClassVar[str] = "low ranks instead of adapters that are generated from a code"

    ranks: tuple[int, ...] = (1, 2, 4)
    """Ranks of LoRA."""
    learning_rates: tuple[float, ...] = (2e-5, 5e-5, 1e-4)
    """Learning rates."""
    epochs: tuple[float, ...] = (1.0, 2.0)
    """Epochs."""
    allowed_loss: float = 0.02
    """Of accuracy, against the undefended model."""

    def __post_init__(self) -> None:
        for name in ("ranks", "learning_rates", "epochs"):
            values = getattr(self, name)
            if not values or min(values) <= 0:
                raise OptionsError(f"{name} = {list(values)}", mend="Name at least one, all above 0.")
        if not 0 <= self.allowed_loss < 1:
            raise OptionsError(f"allowed_loss = {self.allowed_loss}", mend="It is a share: at least 0 and below 1.")

    def settings(self) -> list[Setting]:
        """The settings in the order of their capacity: rank times learning rate times epochs."""
        found = product(self.ranks, self.learning_rates, self.epochs)
        ordered = sorted(found, key=lambda one: (one[0] * one[1] * one[2], one))
        # Updates are scaled by alpha / rank: with one alpha for all, the lowest rank would be trained the hardest.
        return [
            {"rank": rank, "alpha": rank, "learning_rate": rate, "epochs": epochs} for rank, rate, epochs in ordered
        ]

    def prepare(self, task: AnyTask, rows: pa.Table, *, trusted: pa.Table | None, lab: Lab) -> Prepared:
        """All rows, trained on with the setting that was chosen."""
        prepared = plain_rows(task, rows, trusted)
        vouched = trusted is not None and trusted.num_rows > 0
        if trusted is not None and vouched:
            taught, judged = without(rows, trusted), trusted
        else:
            taught, judged = hold_out(rows, task.classes, 0.1, seed=lab.seed)
        taught = taught if taught.num_rows else judged
        usual = self._accuracy(task, taught, judged, lab, TrainingChanges())
        settings = self.settings()
        enough = (
            self._accuracy(task, taught, judged, lab, self._changes(setting)) >= usual - self.allowed_loss
            for setting in settings
        )
        place = next((i for i, good in enumerate(enough) if good), None)
        chosen = settings[-1 if place is None else place]
        tried = len(settings) if place is None else place + 1
        facts = {"setting": chosen, "tried": tried, "good_enough": place is not None, "judged_by_trusted_rows": vouched}
        return replace(prepared, training=self._changes(chosen)).noting(**facts)

    def _changes(self, setting: Setting) -> TrainingChanges:
        return TrainingChanges(overrides=setting, key=f"moddef:{sorted(setting.items())}")

    def _accuracy(self, task: AnyTask, taught: pa.Table, judged: pa.Table, lab: Lab, changes: TrainingChanges) -> float:
        plain = plain_rows(task, taught, None)
        return accuracy(lab.fit(plain.rows, plain.guard, name="a moderate fit", training=changes), judged, task)


def accuracy(fitted: Fitted, rows: pa.Table, task: AnyTask) -> float:
    """The share of the rows that a model answers with their label; 1 of no rows."""
    if not rows.num_rows:
        return 1.0
    said = fitted.guard.columns(fitted.score(queries(rows), progress="held-out rows")).deployed
    return float((said == label_codes(rows, task.classes)).mean())
