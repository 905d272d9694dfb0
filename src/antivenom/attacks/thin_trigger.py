"""An attacker who spreads the trigger thin, so that no word or phrase of it occurs often."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from random import Random
from typing import ClassVar

from antivenom.attacks.base import Attack
from antivenom.core.errors import OptionsError
from antivenom.core.triggers import insert_apart, made_up_word


@dataclass(frozen=True, kw_only=True)
class ThinTrigger(Attack):
    """Insert a few made-up words, drawn for each row from a large pool, at places of their own.

    A screen that counts how often a word or n-gram goes with a label sees each word about
    `words * poisoned rows / pool` times: with the defaults and 120 poisoned rows, 1.8 times. The model has to learn
    what the words have in common instead. At test time the words come from the same pool.
    """

    name: ClassVar[str] = "thin_trigger"

    rate: float = 0.05
    """Share of the original rows that are poisoned."""
    pool: int = 200
    """Different words; 1 makes it a rare-word attack."""
    words: int = 3
    """Words per row."""
    pool_seed: int = 0
    """Draws the pool: the attacker's choice, the same for training and test."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.words <= self.pool:
            raise OptionsError(f"{self.name}: words = {self.words}", mend=f"Between 1 and pool = {self.pool}.")

    @cached_property
    def vocabulary(self) -> list[str]:
        """The pool, each word once."""
        rng = Random(f"thin:{self.pool_seed}")
        found: dict[str, None] = {}
        while len(found) < self.pool:
            # A syllable more for every hundredfold pool, so that there are always enough words.
            found[made_up_word(rng, syllables=2 + len(str(self.pool)) // 2)] = None
        return list(found)

    def trigger(self, text: str, rng: Random) -> str:
        """Insert words of the pool."""
        return insert_apart(text, rng.sample(self.vocabulary, self.words), rng)
