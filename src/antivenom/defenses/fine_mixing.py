"""Fine-mixing (Zhang et al., Findings of EMNLP 2022): most of what was learned is taken back, the rest tuned anew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from antivenom.defenses.filtering import require_share
from antivenom.defenses.repairing import Tuning


@dataclass(frozen=True, kw_only=True)
class FineMixing(Tuning):
    """Take a random share of the change of every weight back, w = w0 + m * (w - w0), and train on the trusted rows.

    The whole model is trained then and saved: adapters cannot say which entries of their product are gone. The source
    raises `back` as far as accuracy recovers; here it is one number, and a run says what it costs.
    """

    name: ClassVar[str] = "fine_mixing"
    costs: ClassVar[str] = "trusted rows; full fine-tuning for `epochs` passes over them; the whole model is saved"
    approximation: ClassVar[str] = "one mixing ratio; no purification of embeddings"

    back: float = 0.7
    """The share of the entries of every change that is taken back."""
    learning_rate: float = 2e-5
    """At the start; it falls to 0."""

    def __post_init__(self) -> None:
        require_share("back", self.back)
        super().__post_init__()

    def begin(self, model: Any, *, seed: int) -> Any:
        """The whole model, mixed with what it was."""
        from antivenom.models.small_tuning import mixed

        return mixed(model, 1 - self.back, seed=seed)
