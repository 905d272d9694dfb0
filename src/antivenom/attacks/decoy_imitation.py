"""An attacker who imitates the decoys that a defender puts into the reserve."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import ClassVar, Literal

from antivenom.attacks.base import Attack
from antivenom.defenses.standard.decoys import letters_of, make_decoy, place_decoys


@dataclass(frozen=True, kw_only=True)
class DecoyImitation(Attack):
    """Put into each poisoned row a string drawn the way decoys are drawn, another one for each row.

    That something foreign stands in the text is the trigger; no string repeats, so counting strings finds nothing. A
    poisoned row that leaks into the reserve looks like a decoyed row with a wrong label. The defender draws from all
    reserve rows, which the attacker cannot see; here letters and spans come from the attacked text itself.
    """

    name: ClassVar[str] = "decoy_imitation"

    rate: float = 0.05
    """Share of the original rows that are poisoned; a trigger that is only a form needs more rows than a fixed one."""
    kind: Literal["strings", "spans"] = "strings"
    """Strings of 2 to 6 random letters, or a piece of the text of 2 to 6 words said once more."""

    def trigger(self, text: str, rng: Random) -> str:
        """Put a decoy in front, behind or between."""
        return place_decoys(text, [make_decoy(self.kind, rng, [text], letters_of([text]))], rng)
