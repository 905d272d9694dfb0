"""Moderate fitting as published (Zhu et al., NeurIPS 2022): all adapters are generated from one tiny code."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pyarrow as pa

from antivenom.core.options import require_above_zero
from antivenom.defenses.base import Defense, Prepared, plain_rows
from antivenom.guards.guard import AnyTask
from antivenom.models.lab import Lab, TrainingChanges


@dataclass(frozen=True, kw_only=True)
class ModDefReparam(Defense):
    """Train LoRA whose matrices are theta = W2 tanh(W1 e) of a code e of `code` numbers.

    One generator makes all first matrices of the adapters, another all second ones, whose code begins at 0. What can be
    reached lies on a surface of few dimensions, though W2 learns too; what is common to all rows is learned in it
    first, and training ends before the trigger is. `moddef` is the other reading of the paper: plain low ranks.
    """

    name: ClassVar[str] = "moddef_reparam"
    stages = ("training",)
    costs: ClassVar[str] = "no fit; with the defaults of the source ten epochs, which cannot be resumed"
    approximation: ClassVar[str] = (
        "a causal model's own head stays as it is, where the source generates a classifier; "
        "the spread at the start is ours"
    )

    code: int = 2
    """Numbers of e."""
    width: int = 2
    """Numbers between the two products."""
    rank: int = 8
    """Of LoRA."""
    alpha: int = 16
    """Of LoRA."""
    learning_rate: float = 3e-4
    """The source's."""
    epochs: float = 10.0
    """The source's."""

    def __post_init__(self) -> None:
        require_above_zero(self, "code", "width", "rank", "alpha", "learning_rate", "epochs")

    def prepare(self, task: AnyTask, rows: pa.Table, *, trusted: pa.Table | None, lab: Lab) -> Prepared:
        """All rows, and how they are trained on."""
        settings = {
            "rank": self.rank,
            "alpha": self.alpha,
            "learning_rate": self.learning_rate,
            "epochs": self.epochs,
        }
        changes = TrainingChanges(callbacks=(self.generated,), overrides=settings, key=str(self.to_dict()))
        return replace(plain_rows(task, rows, trusted), training=changes)

    def generated(self, model: Any) -> AbstractContextManager[None]:
        """The context in which a model is trained."""
        from antivenom.models.generated_adapters import generated_adapters

        return generated_adapters(model, code=self.code, width=self.width)
