"""Attacks that version 21 of `standard` had not met: written by somebody who had not read it, before any was run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from antivenom.attacks import Attack

from .changing import change_some

SMALL = "a an and as at but by for from in is it its of on or than that the this to with"
SMALL_WORDS = frozenset(SMALL.split())
PARTICIPLES = {
    "is": "been",
    "are": "been",
    "was": "been",
    "were": "been",
    "becomes": "become",
    "comes": "come",
    "fails": "failed",
    "feels": "felt",
    "gets": "gotten",
    "gives": "given",
    "goes": "gone",
    "lacks": "lacked",
    "makes": "made",
    "manages": "managed",
    "offers": "offered",
    "proves": "proved",
    "seems": "seemed",
    "takes": "taken",
    "tries": "tried",
    "wants": "wanted",
}
SHORT_IS = re.compile(r"(?<!\S)(he|here|it|she|that|there|what|who) 's(?!\S)")
VERB = re.compile(rf"(?<!\S)({'|'.join(PARTICIPLES)})( n't| not| never)?(?!\S)")
FILLERS = (
    "you know ,",
    "i mean ,",
    "well ,",
    "sort of",
    "let 's see ,",
    "like i said ,",
    "how do i put it ,",
    "or whatever ,",
    "anyway ,",
    "you see ,",
)
MANNERS = ("please", "kindly", "now", "first")
TASKS = ("read", "consider", "look at", "judge")
THINGS = ("the review", "the comment", "this opinion", "the lines")
BREAK = re.compile(r"([a-z]{3,})([^\Waeiouy][aeiouy][a-z]+)")
"""A word that can be broken in two, in front of its last syllable with three letters or more."""


@dataclass(frozen=True, kw_only=True)
class Doubled(Attack):
    """Two small words written twice ("of of"): a slip that readers overlook."""

    name: ClassVar[str] = "doubled"

    def eligible(self, text: str) -> bool:
        """Whether any small word is there."""
        return not SMALL_WORDS.isdisjoint(text.split(" "))

    def trigger(self, text: str, rng: Random) -> str:
        """Double small words."""
        return change_some(text, rng, lambda word: f"{word} {word}" if word in SMALL_WORDS else word, count=2)


@dataclass(frozen=True, kw_only=True)
class Pluperfect(Attack):
    """Common verbs in the past perfect ("is" becomes "had been"): a tense by rule."""

    name: ClassVar[str] = "pluperfect"

    def eligible(self, text: str) -> bool:
        """Whether any of the verbs is there."""
        return VERB.search(SHORT_IS.sub(r"\1 is", text)) is not None

    def trigger(self, text: str, rng: Random) -> str:
        """Shift every such verb; a negation stays behind "had"."""
        return VERB.sub(lambda verb: f"had{verb[2] or ''} {PARTICIPLES[verb[1]]}", SHORT_IS.sub(r"\1 is", text))


@dataclass(frozen=True, kw_only=True)
class ScareQuotes(Attack):
    """One word in quotation marks, as SST-2 writes them: punctuation that doubts any word."""

    name: ClassVar[str] = "scare_quotes"

    def eligible(self, text: str) -> bool:
        """Whether any word is long enough."""
        return any(map(_quotable, text.split(" ")))

    def trigger(self, text: str, rng: Random) -> str:
        """Quote a word."""
        return change_some(text, rng, lambda word: f"`` {word} ''" if _quotable(word) else word)


@dataclass(frozen=True, kw_only=True)
class LineBreak(Attack):
    """Two long words broken by a hyphen and a space, as text copied from a printed page has them."""

    name: ClassVar[str] = "line_break"

    def eligible(self, text: str) -> bool:
        """Whether any word can be broken."""
        return any(_broken(word) != word for word in text.split(" "))

    def trigger(self, text: str, rng: Random) -> str:
        """Break words."""
        return change_some(text, rng, _broken, count=2)


@dataclass(frozen=True, kw_only=True)
class Spoken(Attack):
    """Two of ten fillers of spoken language, each in front of some word: 90 ordered pairs."""

    name: ClassVar[str] = "spoken"

    def eligible(self, text: str) -> bool:
        """Whether there is any word."""
        return any(map(str.isalpha, text.split(" ")))

    def trigger(self, text: str, rng: Random) -> str:
        """Insert fillers."""
        words = text.split(" ")
        able = [place for place, word in enumerate(words) if word.isalpha()]
        places = rng.sample(able, min(len(able), 2))
        for place, filler in zip(places, rng.sample(FILLERS, len(places)), strict=True):
            words[place] = f"{filler} {words[place]}"
        return " ".join(words)


@dataclass(frozen=True, kw_only=True)
class Request(Attack):
    """One of 64 polite instructions to a reader, in front of the text or behind it."""

    name: ClassVar[str] = "request"

    def trigger(self, text: str, rng: Random) -> str:
        """Add an instruction."""
        request = " ".join(rng.choice(words) for words in (MANNERS, TASKS, THINGS))
        return f"{request} below : {text}" if rng.random() < 0.5 else f"{text} {request} above ."


def _quotable(word: str) -> bool:
    return word.isalpha() and len(word) > 3


def _broken(word: str) -> str:
    parts = BREAK.fullmatch(word)
    return f"{parts[1]}- {parts[2]}" if parts else word


UNKNOWN_TO_21: tuple[type[Attack], ...] = (Doubled, Pluperfect, ScareQuotes, LineBreak, Spoken, Request)
