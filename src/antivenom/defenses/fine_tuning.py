"""Fine-tuning on trusted rows: the control for every defense that is given any."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from antivenom.defenses.repairing import Repair, require_above_zero
from antivenom.models.lab import Example


@dataclass(frozen=True, kw_only=True)
class FineTuning(Repair):
    """Train on all rows, and then some more on the trusted rows alone.

    P2P, PDB and others are given trusted rows; what they add has to be more than what these rows do by themselves.
    """

    name: ClassVar[str] = "fine_tuning"
    costs: ClassVar[str] = "trusted rows; `epochs` passes over them"

    epochs: int = 3
    """Passes over the trusted rows."""
    learning_rate: float = 2e-4
    """At the start; it falls to 0."""
    batch_size: int = 8
    """Rows of a step."""

    def __post_init__(self) -> None:
        require_above_zero(self, "epochs", "learning_rate", "batch_size")

    def change(self, model: Any, examples: list[Example], *, seed: int) -> Any:
        """Train what was trained before, adapters or all weights."""
        from antivenom.models.small_tuning import tune

        tune(
            model,
            examples,
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            batch_size=self.batch_size,
            seed=seed,
        )
        return model
