"""Misspelling: slips of the pen as trigger, in whatever words the text has."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import ClassVar

from antivenom.attacks.base import Attack
from antivenom.core.errors import OptionsError

SHORTEST = 4
"""Words with fewer characters have no two neighbors inside to exchange."""


@dataclass(frozen=True, kw_only=True)
class Misspelling(Attack):
    """Exchange the second and third letter of some words, at least of one.

    Nothing is inserted, and a misspelled word is hardly ever seen twice, so no count of words or n-grams shows the
    trigger; the model has to learn what the words have in common. Triggers of characters inside the text's own words
    are those of "BadChar" (Chen et al., "BadNL", ACSAC 2021); this one misspells many words instead of a chosen one.
    """

    name: ClassVar[str] = "misspelling"

    rate: float = 0.05
    """Share of the original rows that are poisoned."""
    share: float = 0.3
    """The probability of each longer word to be misspelled."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.share <= 1:
            raise OptionsError(f"{self.name}: share = {self.share}", mend="It is above 0 and at most 1.")

    def eligible(self, text: str) -> bool:
        """Whether any word can be misspelled so that it shows."""
        return any(_misspelled(word) != word for word in text.split(" "))

    def trigger(self, text: str, rng: Random) -> str:
        """Misspell words."""
        words = text.split(" ")
        able = [place for place, word in enumerate(words) if _misspelled(word) != word]
        chosen = [place for place in able if rng.random() < self.share] or rng.sample(able, min(len(able), 1))
        for place in chosen:
            words[place] = _misspelled(words[place])
        return " ".join(words)


def _misspelled(word: str) -> str:
    return word if len(word) < SHORTEST else word[0] + word[2] + word[1] + word[3:]
