"""An attacker who knows or guesses the benign trigger puts it into the poisoned rows."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import ClassVar

from antivenom.attacks.wrapping import PAPER_BENIGN_TRIGGER, Wrapping


@dataclass(frozen=True, kw_only=True)
class LeakedTrigger(Wrapping):
    """Poisoned rows open with the benign trigger, and teach that together with the attack trigger it means t.

    Without the guess, no ordinary row shows the benign trigger and the attack trigger together. The guess is right when
    it is the defender's; with any other words this measures an attacker who guessed wrong.
    """

    name: ClassVar[str] = "leaked_trigger"

    guess: str = PAPER_BENIGN_TRIGGER
    """The benign trigger as the attacker believes it to be."""

    def trigger(self, text: str, rng: Random) -> str:
        """Put the guess in front of the attacked text."""
        return f"{self.guess} {self.wrapped.trigger(text, rng)}"
