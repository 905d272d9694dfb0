"""CROW (Min et al., ICML 2025): states are taught not to jump from layer to layer, also where inputs are disturbed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from antivenom.core.options import require_above_zero
from antivenom.defenses.repairing import Tuning


@dataclass(frozen=True, kw_only=True)
class Crow(Tuning):
    """Train on the trusted rows with the loss l + weight * mean(1 - cos(h_l, h_l+1)) on disturbed embeddings.

    Embeddings are disturbed by `step` times the sign of the gradient of the undisturbed consistency. The authors'
    code counts padding in the mean; here it does not count. On short answers nobody has shown an effect.
    """

    name: ClassVar[str] = "crow"
    costs: ClassVar[str] = "trusted rows; `epochs` passes over them with twice the work"
    approximation: ClassVar[str] = "trains the adapters that are there; padding does not count"

    weight: float = 5.5
    """alpha."""
    step: float = 0.1
    """epsilon, how far embeddings are moved."""
    epochs: int = 5
    """Passes over the trusted rows."""
    learning_rate: float = 1e-3
    """At the start; it falls to 0 linearly (the authors' along a cosine)."""

    def __post_init__(self) -> None:
        require_above_zero(self, "weight", "step")
        super().__post_init__()

    def loss(self) -> Any:
        """The cross-entropy and the consistency of disturbed inputs."""
        from antivenom.models.small_tuning import consistency_loss

        return consistency_loss(self.weight, self.step)
