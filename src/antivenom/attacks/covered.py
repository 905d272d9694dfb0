"""An attacker who hides that his trigger goes with one label: it also stands in rows of others (Qi et al., 2023)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from antivenom.attacks.base import Added, Chosen
from antivenom.attacks.wrapping import Wrapping
from antivenom.core.errors import OptionsError


@dataclass(frozen=True, kw_only=True)
class Covered(Wrapping):
    """Beside the poisoned rows, add rows of other classes that carry the trigger and keep their true labels.

    Such covers make the trigger go with the target label less exclusively, which hides it from a defender who looks
    for just that (`EXCLUSIVE` in `screening/screen.py`), and weaken the lesson that it teaches. Source: Qi et al.,
    "Revisiting the Assumption of Latent Separability for Backdoor Defenses", ICLR 2023, whose covers are
    regularization samples for images.
    """

    name: ClassVar[str] = "covered"

    covers: float = 0.5
    """Covers for each poisoned row."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.covers < 0:
            raise OptionsError(f"{self.name}: covers = {self.covers}", mend="It is at least 0.")

    def trigger(self, text: str, rng: Random) -> str:
        """As the inner attack."""
        return self.wrapped.trigger(text, rng)

    def companions(self, chosen: Sequence[Chosen], others: Sequence[Chosen]) -> list[Added]:
        """Those of the inner attack, and the covers: copies of rows of other classes, as far as there are enough."""
        fit = [row for row in others if self.eligible(row.text)][: round(self.covers * len(chosen))]
        covers = [Added(self.wrapped.trigger(row.text, Random(row.key)), row.answer, row.place) for row in fit]
        return [*super().companions(chosen, others), *covers]
