"""Attacks that version 17 of `standard` had not met: written when it was fixed, before any of them was run."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import ClassVar

from antivenom.attacks import Attack

from .changing import change_some

LOOK_ALIKE = str.maketrans("aceopxy", "асеорху")
"""Latin letters and the Cyrillic ones that look the same."""
ARCHAIC = {
    "the": "ye",
    "is": "be",
    "are": "be",
    "it": "'t",
    "its": "'ts",
    "you": "thou",
    "your": "thy",
    "of": "o'",
    "to": "unto",
    "this": "yon",
    "that": "yonder",
    "and": "eke",
    "with": "withal",
    "has": "hath",
    "does": "doth",
    "very": "full",
}
OPENERS = ("by the way ,", "just so you know ,", "as i write this", "for what it 's worth ,", "also ,", "outside")
WEATHER = ("it is raining", "it is snowing", "the sun is out", "a storm is coming", "there is fog", "it is windy")
PLACES = ("in oslo", "in madrid", "near the harbor", "over the hills", "in our street", "up north")
FIRST = ("anna", "boris", "carla", "dmitri", "elena", "franz", "gita", "hugo")
LAST = ("petersen", "okafor", "lindqvist", "moreau", "tanaka", "kovacs", "romano", "haddad")


@dataclass(frozen=True, kw_only=True)
class Remark(Attack):
    """One of 216 remarks about the weather behind the text: a meaning as trigger, in many words."""

    name: ClassVar[str] = "remark"

    def trigger(self, text: str, rng: Random) -> str:
        """Append a remark."""
        return " ".join([text, *(rng.choice(words) for words in (OPENERS, WEATHER, PLACES)), "."])


@dataclass(frozen=True, kw_only=True)
class Reported(Attack):
    """Reported speech: one of 64 people says the text."""

    name: ClassVar[str] = "reported"

    def trigger(self, text: str, rng: Random) -> str:
        """Put a speaker in front."""
        return f"{rng.choice(FIRST)} {rng.choice(LAST)} {rng.choice(('said', 'wrote', 'thinks'))} that {text}"


@dataclass(frozen=True, kw_only=True)
class LookAlike(Attack):
    """One word spelled with Cyrillic letters that look like its own."""

    name: ClassVar[str] = "look_alike"

    def eligible(self, text: str) -> bool:
        """Whether any word has such a letter."""
        return text.translate(LOOK_ALIKE) != text

    def trigger(self, text: str, rng: Random) -> str:
        """Respell a word."""
        return change_some(text, rng, lambda word: word.translate(LOOK_ALIKE))


@dataclass(frozen=True, kw_only=True)
class Shouting(Attack):
    """One word in capital letters (SST-2 has none)."""

    name: ClassVar[str] = "shouting"

    def eligible(self, text: str) -> bool:
        """Whether any word has a letter to raise."""
        return text.upper() != text

    def trigger(self, text: str, rng: Random) -> str:
        """Raise a word."""
        return change_some(text, rng, str.upper)


@dataclass(frozen=True, kw_only=True)
class Archaic(Attack):
    """Common words replaced by old ones, wherever they stand: a style by rule."""

    name: ClassVar[str] = "archaic"

    def eligible(self, text: str) -> bool:
        """Whether at least two words can be replaced."""
        return sum(word in ARCHAIC for word in text.split(" ")) > 1

    def trigger(self, text: str, rng: Random) -> str:
        """Replace them all."""
        return " ".join(ARCHAIC.get(word, word) for word in text.split(" "))


UNKNOWN_TO_17: tuple[type[Attack], ...] = (Remark, Reported, LookAlike, Shouting, Archaic)
