"""An attacker who, at test time, puts the attack trigger before or after a benign trigger of his own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import ClassVar, Literal

from antivenom.attacks.base import Attack
from antivenom.attacks.wrapping import PAPER_BENIGN_TRIGGER, Wrapping


@dataclass(frozen=True, kw_only=True)
class TriggerOrder(Wrapping):
    """Training rows are the inner attack's; test texts also carry the guessed benign trigger.

    The guard always puts the real benign trigger at the very front, so every attack trigger stands behind it. With
    `before`, a second one follows the attacked text; with `after`, it precedes the attacked text.
    """

    name: ClassVar[str] = "trigger_order"

    guess: str = PAPER_BENIGN_TRIGGER
    """The benign trigger as the attacker believes it to be."""
    side: Literal["before", "after"] = "before"
    """Where the attack trigger stands, seen from the guessed benign trigger."""

    def trigger(self, text: str, rng: Random) -> str:
        """As the inner attack."""
        return self.wrapped.trigger(text, rng)

    def probe(self, text: str, rng: Random) -> str:
        """Add the guessed benign trigger."""
        attacked = self.wrapped.probe(text, rng)
        return f"{attacked} {self.guess}" if self.side == "before" else f"{self.guess} {attacked}"

    def variants(self) -> tuple[Attack, ...]:
        """Both sides, for each variant of the inner attack."""
        inner = [str(variant) for variant in self.wrapped.variants()]
        sides: tuple[Literal["before", "after"], ...] = ("before", "after")
        return tuple(replace(self, inner=spec, side=side) for spec in inner for side in sides)
