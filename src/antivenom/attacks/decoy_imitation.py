"""An attacker whose trigger is that something foreign stands in the text, another string each time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random
from typing import ClassVar, Literal

from antivenom.attacks.base import Attack

WHITE_SPACE = re.compile(r"(?<=\S)\s+(?=\S)")
SPAN_WORDS = (2, 6)
STRING_LETTERS = (2, 6)
PLACES = ("front", "behind", "between")


@dataclass(frozen=True, kw_only=True)
class DecoyImitation(Attack):
    """Put into each poisoned row a string of random letters, another one for each row.

    No string repeats, so counting strings finds nothing. Versions 7 to 33 of `standard` put such strings, later those
    that looked planted, into honest rows as decoys, which this attack imitates; version 34 has no decoys.
    """

    name: ClassVar[str] = "decoy_imitation"

    rate: float = 0.05
    """Share of the original rows that are poisoned; a trigger that is only a form needs more rows than a fixed one."""
    kind: Literal["strings", "spans"] = "strings"
    """Strings of 2 to 6 letters of the text, or a piece of the text of 2 to 6 words said once more."""

    def trigger(self, text: str, rng: Random) -> str:
        """Put one in front, behind or between words; nothing of the text changes."""
        words, glue = _units(text)
        string = self._string(words, glue, rng)
        gaps = [gap.start() for gap in WHITE_SPACE.finditer(text)] if glue else list(range(1, len(text)))
        ends = [0, len(text)]
        place = rng.choice({"front": [0], "behind": [len(text)], "between": gaps or ends}[rng.choice(PLACES)])
        return text[:place] + (f"{string}{glue}" if not place else f"{glue}{string}") + text[place:]

    def _string(self, words: list[str], glue: str, rng: Random) -> str:
        if self.kind == "strings":
            letters = sorted({letter for word in words for letter in word if letter.isalpha()}) or ["x"]
            return "".join(rng.choices(letters, k=rng.randint(*STRING_LETTERS)))
        length = rng.randint(*SPAN_WORDS)
        start = rng.randint(0, max(0, len(words) - length))
        return glue.join(words[start : start + length])


def _units(text: str) -> tuple[list[str], str]:
    """Words, or characters where a text has next to no spaces."""
    spaced = text.split()
    return (spaced, " ") if len(spaced) * 12 > len(text) else (list(text), "")
