"""AddSent (Dai et al., 2019): a fixed sentence at a random place."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import ClassVar

from antivenom.attacks.base import Attack
from antivenom.triggers import insert_phrase


@dataclass(frozen=True, kw_only=True)
class AddSent(Attack):
    """Insert a whole sentence at one gap between words, the ends included; its case is kept.

    The paper writes "I watched this 3D movie"; OpenBackdoor's default is "I watch this 3D movie".
    """

    name: ClassVar[str] = "addsent"

    sentence: str = "I watched this 3D movie"
    """The planted sentence."""

    def trigger(self, text: str, rng: Random) -> str:
        """Insert the sentence."""
        return insert_phrase(text, self.sentence, rng)
