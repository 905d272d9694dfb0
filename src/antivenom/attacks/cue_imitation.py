"""An attacker who imitates the cue that P2P puts under its benign rows."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import ClassVar

from antivenom.attacks.wrapping import Wrapping


@dataclass(frozen=True, kw_only=True)
class CueImitation(Wrapping):
    """Attacked texts end with the cue of benign rows on a line of its own.

    In the authors' code benign rows end with "Answer:" and ordinary rows with "Output:", so that the cue is a second
    half of the key (`p2p:cue=split`); poisoned rows that show it look like benign rows to the model.
    """

    name: ClassVar[str] = "cue_imitation"

    cue: str = "Answer:"
    """The cue of benign rows as the attacker believes it to be (the authors' code: "Answer:")."""

    def trigger(self, text: str, rng: Random) -> str:
        """Put the cue behind the attacked text."""
        return f"{self.wrapped.trigger(text, rng)}\n{self.cue}"

    def probe(self, text: str, rng: Random) -> str:
        """Put the cue behind the attacked text."""
        return f"{self.wrapped.probe(text, rng)}\n{self.cue}"
