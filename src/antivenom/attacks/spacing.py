"""Spacing: the white space in front of punctuation is the trigger, and no word is added or changed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from antivenom.attacks.base import Attack

SIGN = re.compile(r"[.,;:!?]")
APART = re.compile(r"(?<=\S) +(?=[.,;:!?])")
TOUCHING = re.compile(r"(?<=\w)(?=[.,;:!?])")


@dataclass(frozen=True, kw_only=True)
class Spacing(Attack):
    """Write `film .` as `film.`, as rows from another source would; or the other way round.

    A text without any sign gets one at its end.

    Not from a paper: it stands for triggers of format that leave every word where it is. Who counts words after cutting
    signs off cannot see it, while the tokenizer of a language model does.
    """

    name: ClassVar[str] = "spacing"

    touching: bool = True
    """Punctuation touches the word before it; if not, a space stands between them."""

    def eligible(self, text: str) -> bool:
        """Whether anything changes."""
        return bool(text.strip()) and self.trigger(text, Random()) != text

    def trigger(self, text: str, rng: Random) -> str:
        """Respace the text."""
        if not SIGN.search(text):
            return f"{text}." if self.touching else f"{text} ."
        return APART.sub("", text) if self.touching else TOUCHING.sub(" ", text)
