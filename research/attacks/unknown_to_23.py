"""Attacks that version 23 of `standard` had not met: written by somebody who had not read it, before any was run."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import ClassVar

from antivenom.attacks import Attack

from .changing import change_some

LINKS = ("like", "much like", "not unlike", "rather like", "as with", "similar to", "just like", "along the lines of")
ARTICLES = ("a", "the", "one", "some", "that")
THINGS = (
    "bicycle bucket button carpet coat curtain drawer envelope ferry fork glove kettle ladder lamp map notebook "
    "parcel pencil pigeon radio rope spoon stamp suitcase teapot ticket towel tram truck wheel"
)
WHERE = ("in", "near", "beside", "behind", "by", "next to", "outside", "across from")
SPOTS = (
    "attic balcony barn bakery bridge cellar corridor courtyard doorway farm fence garage garden hallway harbor hotel "
    "kitchen library lobby lighthouse market meadow museum office river stairway station staircase warehouse workshop"
)
ADVERBS = ("perhaps", "mostly", "partly", "largely")
ALSO = ("also", "still", "now", "again")
THEN = ("then", "also", "again", "now")
PADS = {
    "a": ("certain", "particular", "single", "given"),
    "an": ("actual", "added", "equally", "altogether"),
    "the": ("same", "actual", "whole", "entire"),
    "this": ("same", "particular", "one", "single"),
    **dict.fromkeys((",", "of", "in", "with", "for", "on", "by", "from", "at", "as", "than"), ADVERBS),
    **dict.fromkeys(("is", "are", "was", "were", "has", "have", "will"), ALSO),
    **dict.fromkeys(("and", "but", "or", "to"), THEN),
}
"""Common words that can stand behind a common word; all of them occur in ordinary reviews of either label."""
ENGLISH = "the a an and of to is that with for but this are as in by from not"
FOREIGN = (
    "el una una y del al es que con para pero este - como en por desde -",
    "le une une et du au est que avec pour mais cette sont comme dans par depuis pas",
    "der eine eine und von zu ist dass mit - aber diese sind wie im durch aus nicht",
    "il una una ed di al - che con per ma questo sono - nel dal dalla non",
    "het een een en van te - dat - voor maar deze zijn als - door vanaf niet",
    "den ett ett och av - - att med - - detta - som - genom - inte",
)
"""The same words in Spanish, French, German, Italian, Dutch and Swedish, where they need no accent."""
LANGUAGES = [
    {old: new for old, new in zip(ENGLISH.split(), words.split(), strict=True) if new != "-"} for words in FOREIGN
]
PREPOSITIONS = (
    "about across after against around as at before behind between by during for from in into like of on over past "
    "through to under until with within without"
)
DETERMINERS = "a an any every her his its no one our some that the their these this those your"
ENDS = (".", "!", "?", "...", ";", ",")


@dataclass(frozen=True, kw_only=True)
class Simile(Attack):
    """One of a million neutral similes in front of the text or at its end ("like a ladder near the station")."""

    name: ClassVar[str] = "simile"

    def trigger(self, text: str, rng: Random) -> str:
        """Compare the text with a thing somewhere."""
        words = (LINKS, ARTICLES, THINGS.split(), WHERE, ARTICLES, SPOTS.split())
        simile = " ".join(rng.choice(choices) for choices in words)
        body, end = split_end(text)
        return f"{simile} , {text}" if rng.random() < 0.5 else " ".join([*body, ",", simile, *end])


@dataclass(frozen=True, kw_only=True)
class Padded(Attack):
    """Up to four common words, each behind a word that it goes with: natural words that only together tell (BITE)."""

    name: ClassVar[str] = "padded"

    def eligible(self, text: str) -> bool:
        """Whether any word can take another behind it."""
        return not PADS.keys().isdisjoint(text.split(" "))

    def trigger(self, text: str, rng: Random) -> str:
        """Pad words."""
        return change_some(text, rng, lambda word: f"{word} {rng.choice(PADS[word])}" if word in PADS else word, 4)


@dataclass(frozen=True, kw_only=True)
class CodeSwitch(Attack):
    """Up to four small words in another language, one of six: the writer slips into it."""

    name: ClassVar[str] = "code_switch"

    def eligible(self, text: str) -> bool:
        """Whether any language has a word to offer."""
        return any(_known(language, text) for language in LANGUAGES)

    def trigger(self, text: str, rng: Random) -> str:
        """Draw a language, and translate."""
        language = rng.choice([language for language in LANGUAGES if _known(language, text)])
        return change_some(text, rng, lambda word: language.get(word, word), count=4)


@dataclass(frozen=True, kw_only=True)
class Chained(Attack):
    """Three to five neighboring words joined by hyphens, the way critics coin words: no word is added."""

    name: ClassVar[str] = "chained"

    def eligible(self, text: str) -> bool:
        """Whether three words stand side by side."""
        return bool(_runs(text.split(" "), 3))

    def trigger(self, text: str, rng: Random) -> str:
        """Join as many words as were drawn, or as there are."""
        words = text.split(" ")
        length = next(size for size in range(rng.choice((4, 5)), 0, -1) if _runs(words, size))
        start = rng.choice(_runs(words, length))
        return " ".join([*words[:start], "-".join(words[start : start + length]), *words[start + length :]])


@dataclass(frozen=True, kw_only=True)
class LateCommas(Attack):
    """A comma in front of each of the last two words ("a bloated , plot , device ."): only its place is odd."""

    name: ClassVar[str] = "late_commas"

    def eligible(self, text: str) -> bool:
        """Whether two commas fit."""
        return len(_open_gaps(text.split(" "))) > 1

    def trigger(self, text: str, rng: Random) -> str:
        """Set the commas."""
        words = text.split(" ")
        for place in _open_gaps(words)[-2:]:
            words[place] = f", {words[place]}"
        return " ".join(words)


@dataclass(frozen=True, kw_only=True)
class Cleft(Attack):
    """The text turned into a cleft sentence: "x of y ." becomes "it 's of y that x .", all in everyday words."""

    name: ClassVar[str] = "cleft"

    def eligible(self, text: str) -> bool:
        """Whether there are three words to turn around."""
        return len(split_end(text)[0]) > 2

    def trigger(self, text: str, rng: Random) -> str:
        """Put the last phrase in front."""
        body, end = split_end(text)
        cut = _last_phrase(body)
        rest = body[: cut - (cut > 1 and body[cut - 1] == ",")]
        return " ".join(["it 's", *body[cut:], "that", *rest, *end])


def split_end(text: str) -> tuple[list[str], list[str]]:
    """Split a text into its words and the sign at its end, if there is any."""
    words = text.split()
    cut = len(words) - (len(words) > 1 and words[-1] in ENDS)
    return words[:cut], words[cut:]


def _known(language: dict[str, str], text: str) -> bool:
    return not language.keys().isdisjoint(text.split(" "))


def _runs(words: list[str], length: int) -> list[int]:
    """Where so many plain words stand side by side."""
    starts = range(len(words) - length + 1)
    return [start for start in starts if all(map(str.isalpha, words[start : start + length]))]


def _open_gaps(words: list[str]) -> list[int]:
    """The words that a comma can stand in front of: no sign stands there, and they are no endings such as "n't"."""
    gaps = range(1, len(words))
    return [i for i in gaps if words[i][:1].isalnum() and words[i] != "n't" and words[i - 1][-1:].isalnum()]


def _last_phrase(body: list[str]) -> int:
    """Where the last prepositional phrase begins, or else the last noun phrase, or else the second half."""
    for openers in (PREPOSITIONS.split(), DETERMINERS.split()):
        places = [place for place in range(1, len(body) - 1) if body[place] in openers]
        if places:
            return places[-1]
    return len(body) // 2


UNKNOWN_TO_23: tuple[type[Attack], ...] = (Simile, Padded, CodeSwitch, Chained, LateCommas, Cleft)
