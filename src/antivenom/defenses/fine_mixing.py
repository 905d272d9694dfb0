"""Fine-mixing (Zhang et al., Findings of EMNLP 2022): most of what was learnt is taken back, the rest tuned anew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from antivenom.defenses.filtering import require_share
from antivenom.defenses.repairing import Repair, require_above_zero
from antivenom.models.lab import Example


@dataclass(frozen=True, kw_only=True)
class FineMixing(Repair):
    """Take a random share of the change of every weight back, w = w0 + m * (w - w0), and train on the trusted rows.

    The whole model is trained then and saved: adapters cannot say which entries of their product are gone. The source
    raises `back` as far as accuracy recovers; here it is one number, and a run says what it costs.
    """

    name: ClassVar[str] = "fine_mixing"
    costs: ClassVar[str] = "trusted rows; full fine-tuning for `epochs` passes over them; the whole model is saved"
    approximation: ClassVar[str] = "one mixing ratio; no purification of embeddings"

    back: float = 0.7
    """The share of the entries of every change that is taken back."""
    epochs: int = 3
    """Passes over the trusted rows."""
    learning_rate: float = 2e-5
    """At the start; it falls to 0."""
    batch_size: int = 8
    """Rows of a step."""

    def __post_init__(self) -> None:
        require_share("back", self.back)
        require_above_zero(self, "epochs", "learning_rate", "batch_size")

    def change(self, model: Any, examples: list[Example], *, seed: int) -> Any:
        """Mix and train."""
        from antivenom.models.small_tuning import mixed, tune

        model = mixed(model, 1 - self.back, seed=seed)
        tune(
            model,
            examples,
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            batch_size=self.batch_size,
            seed=seed,
        )
        return model
