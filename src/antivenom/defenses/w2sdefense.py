"""W2SDefense (Zhao et al., Findings of ACL 2025): a clean teacher's answers and states pull the trained model back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from antivenom.core.errors import OptionsError
from antivenom.core.options import require_above_zero
from antivenom.defenses.base import Prepared, rebuild
from antivenom.defenses.repairing import Tuning
from antivenom.guards.guard import AnyTask, Guard
from antivenom.models.lab import Fitted, Lab


@dataclass(frozen=True, kw_only=True)
class W2SDefense(Tuning):
    """Train on the trusted rows with label * CE + distillation * KL at a temperature + features * (h_T - h_S)^2.

    The teacher has learned the trusted rows alone. The source's is a smaller model whose states are projected; here it
    is the base model itself with adapters of its own, so states have one width and tokens one meaning. With
    distillation = features = 0 no teacher is asked, which is the source's own control.
    """

    name: ClassVar[str] = "w2sdefense"
    costs: ClassVar[str] = "trusted rows; one fit on them (the teacher), and `epochs` passes over them"
    approximation: ClassVar[str] = (
        "the teacher is the base model with adapters, not a smaller model; the adapters that are there learn, not new "
        "ones of rank 512; the teacher's 100 likeliest tokens count"
    )

    label: float = 1.0
    """Weight of the labels. The source has 1, 0.035 and 0.002 against syntactic triggers."""
    distillation: float = 0.035
    """Weight of the teacher's answers (against words and sentences, with label = 5: 0.001)."""
    features: float = 0.002
    """Weight of the teacher's states (there: 0.001)."""
    temperature: float = 2.0
    """T."""
    epochs: int = 5
    """Passes over the trusted rows."""
    batch_size: int = 8
    """Rows of a step (the source's 32 are a third of so few rows)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_above_zero(self, "label", "temperature")
        if self.distillation < 0 or self.features < 0:
            raise OptionsError(
                f"distillation = {self.distillation}, features = {self.features}", mend="They are at least 0."
            )

    def prepare(self, task: AnyTask, rows: pa.Table, *, trusted: pa.Table | None, lab: Lab) -> Prepared:
        """All rows as they are; the teacher learns now.

        Raises:
            OptionsError: there are no trusted rows.
        """
        prepared = super().prepare(task, rows, trusted=trusted, lab=lab)
        if self._asks_a_teacher and trusted is not None:
            self._teacher(trusted, prepared.guard, lab)
        return prepared

    def fits(self, task: AnyTask) -> dict[str, float]:
        """The teacher's."""
        return {"the teacher": 0.1} if self._asks_a_teacher else {}

    def repair(self, model: Any, task: AnyTask, *, trusted: pa.Table | None, prepared: Prepared, lab: Lab) -> Any:
        """Train what was trained before, pulled towards the teacher."""
        if not self._asks_a_teacher:
            return super().repair(model, task, trusted=trusted, prepared=prepared, lab=lab)
        from antivenom.models.distilling import distillation_loss, taught

        assert trusted is not None
        rows = rebuild(trusted, np.full(trusted.num_rows, bool(prepared.guard.secret)), "replace")
        examples = lab.examples(rows, prepared.guard)
        lessons = taught(self._teacher(trusted, prepared.guard, lab).gradients(rows), examples)
        loss = distillation_loss(
            lessons,
            label=self.label,
            distillation=self.distillation,
            features=self.features,
            temperature=self.temperature,
        )
        return self.tune(model, examples, loss, seed=lab.seed)

    @property
    def _asks_a_teacher(self) -> bool:
        return bool(self.distillation or self.features)

    def _teacher(self, trusted: pa.Table, guard: Guard, lab: Lab) -> Fitted:
        benign = np.full(trusted.num_rows, bool(guard.secret))
        return lab.fit(rebuild(trusted, benign, "replace"), guard, name="the teacher")
