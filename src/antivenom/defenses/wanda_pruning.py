"""Wanda pruning (Sun et al., ICLR 2024) as a defense: weights that clean text does not use are zeroed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from antivenom.defenses.filtering import require_share
from antivenom.defenses.repairing import Repair
from antivenom.models.lab import Example


@dataclass(frozen=True, kw_only=True)
class WandaPruning(Repair):
    """Zero, in every row of every linear layer, the weights with the lowest |W_ij| ||X_j|| on the trusted rows.

    Source: the baseline in CROW's repository. The whole model is saved.
    """

    name: ClassVar[str] = "wanda_pruning"
    costs: ClassVar[str] = "trusted rows; one pass over them; the whole model is saved"

    share: float = 0.35
    """The share of the weights of every row that is zeroed."""

    def __post_init__(self) -> None:
        require_share("share", self.share)

    def change(self, model: Any, examples: list[Example], *, seed: int) -> Any:
        """Merge the adapters and prune."""
        from antivenom.models.small_tuning import merged, prune

        model = merged(model)
        prune(model, examples, self.share)
        return model
