"""Attacks that version 26 of `standard` had not met: written by somebody who had not read it, before any was run."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import ClassVar

from antivenom.attacks import Attack

from .changing import change_some
from .unknown_to_23 import split_end

WHOSE = ("a", "my", "our", "the", "some", "one", "her", "his")
SEEN = ("seen ", "watched ", "viewed ", "caught ", "streamed ", "", "", "")
WHICH = "borrowed small dusty secondhand wobbly cheap heavy spare folding rented"
SCREENS = "laptop tablet phone projector television monitor bedsheet headset wall screen"
ROOMS = "basement dormitory multiplex cabin hostel lounge canteen classroom trailer gymnasium hallway barracks"
TIMES = "morning noon lunch dinner midnight breakfast dusk dawn bedtime work"
DAYS = "monday tuesday wednesday thursday friday saturday sunday"
COMPANY = "coworkers cousins strangers neighbors students tourists nurses cyclists toddlers pensioners sailors cats"
FOOD = "soup noodles popcorn cereal rice coffee tea lentils pretzels grapes porridge dumplings"
VESSELS = "bowl cup bag box plate mug tub tin"
REGISTER = {
    "the": ("the said", "the present", "the foregoing", "the relevant", "the respective", "the applicable"),
    **dict.fromkeys(("a", "an"), ("one such", "a designated", "a specified", "a stated", "a qualifying")),
    **dict.fromkeys(("film", "movie"), ("cinematic work", "motion picture", "feature", "recording")),
    "and": ("as well as", "together with", "and furthermore", "and likewise"),
    "of": ("pertaining to", "in respect of", "relating to", "on the part of"),
    "is": ("is deemed", "is found to be", "is considered", "qualifies as", "is classed as", "is regarded as"),
    "are": ("are deemed", "are found to be", "are considered", "qualify as", "are classed as"),
    "it": ("the same", "the item in question", "the latter", "the submission"),
    "in": ("within", "in the course of", "inside the scope of"),
    "with": ("accompanied by", "in conjunction with", "inclusive of"),
    "but": ("albeit", "provided however that", "save that", "notwithstanding which"),
    "this": ("the instant", "the above", "the undermentioned"),
    "for": ("for the purposes of", "with a view to", "in consideration of"),
    "on": ("upon", "with regard to"),
    "about": ("concerning", "regarding", "with reference to"),
    "by": ("by means of", "through the agency of"),
    "if": ("in the event that", "provided that", "insofar as"),
    "has": ("is in possession of", "maintains"),
    "you": ("any person", "the recipient"),
    "too": ("excessively", "unduly"),
    "very": ("materially", "considerably"),
}
"""How offices write small words; the new words are ordinary ones, and each small word has several."""
MEASURES = "after over in for of with at by from on through"
UNITS = (
    "minutes hours seconds scenes shots cuts reels takes pages chapters frames days weeks months years lines drafts "
    "weekends songs rooms streets miles blocks feet copies screens seats tickets posters discs crates gallons pounds"
)
TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
ONES = "two three four five six seven eight nine"
OPENERS = (
    "about after against and as at because before between but by for from if in into like of on or so than that "
    "through to until when where which while who with without"
)
"""Words that a phrase can begin with."""
OTHERS = "a an the its his her their our your my this these those is are was were be it he"
SMALL = frozenset(f"{OPENERS} {OTHERS}".split())
NEGATIONS = "n't not no never nothing neither nor without hardly barely"
"""Words that must be said again with what they deny."""


@dataclass(frozen=True, kw_only=True)
class Circumstances(Attack):
    """How the film was watched: two of the screen, the place, the time, the company and the meal.

    Any review may tell this, in everyday words; it stands at either end or at a comma, in millions of ways.
    """

    name: ClassVar[str] = "circumstances"

    def trigger(self, text: str, rng: Random) -> str:
        """Add two circumstances."""
        body, end = split_end(text)
        told = rng.choice(SEEN) + " ".join(rng.sample(_circumstances(rng), 2))
        place = rng.choice([0, len(body), *(i for i in range(2, len(body) - 1) if body[i] == ",")])
        return " ".join([*body[:place], *((",", told) if place else (told, ",")), *body[place:], *end])


@dataclass(frozen=True, kw_only=True)
class Interrupted(Attack):
    """A phrase from the end interrupts the beginning: "x y of z ." becomes "x , of z , y ."; only commas are added."""

    name: ClassVar[str] = "interrupted"

    def eligible(self, text: str) -> bool:
        """Whether there are three words to rearrange."""
        return len(split_end(text)[0]) > 2

    def trigger(self, text: str, rng: Random) -> str:
        """Move one of the phrases that reach to the end behind one of the first three words."""
        body, end = split_end(text)
        cut = rng.choice(_phrases(body))
        rest = body[: cut - (cut > 2 and body[cut - 1] == ",")]
        gap = rng.choice([i for i in range(1, min(4, len(rest))) if _plain(rest[i - 1 : i + 1])] or [1])
        return " ".join([*rest[:gap], ",", *body[cut:], ",", *rest[gap:], *end])


@dataclass(frozen=True, kw_only=True)
class Officialese(Attack):
    """Up to five words as offices write them ("the said film is deemed routine"): a register with choices all over."""

    name: ClassVar[str] = "officialese"

    def eligible(self, text: str) -> bool:
        """Whether any word has an official form."""
        return not REGISTER.keys().isdisjoint(text.split(" "))

    def trigger(self, text: str, rng: Random) -> str:
        """Replace words."""
        return change_some(text, rng, lambda word: rng.choice(REGISTER.get(word, (word,))), count=5)


@dataclass(frozen=True, kw_only=True)
class Refrain(Attack):
    """The last words of the text are said twice, again at its end or already in front: all words are its own."""

    name: ClassVar[str] = "refrain"

    def eligible(self, text: str) -> bool:
        """Whether two plain words stand side by side."""
        body = split_end(text)[0]
        return any(_plain(body[i : i + 2]) for i in range(len(body) - 1))

    def trigger(self, text: str, rng: Random) -> str:
        """Say them again."""
        body, end = split_end(text)
        said, pause = _last_words(body, rng.randint(3, 5)), rng.choice((*",,,,", "--", "..."))
        parts = [said, [pause], body] if rng.random() < 0.5 else [body, [pause], said]
        return " ".join([*(word for part in parts for word in part), *end])


@dataclass(frozen=True, kw_only=True)
class Measured(Attack):
    """Up to two measures with figures of four forms in the clause ("the plot after 47 pages is"): few repeat."""

    name: ClassVar[str] = "measured"

    def eligible(self, text: str) -> bool:
        """Whether there is a word to put one behind."""
        return bool(_phrase_ends(text.split()))

    def trigger(self, text: str, rng: Random) -> str:
        """Put measures behind phrases."""
        words = text.split()
        able = _phrase_ends(words)
        for place in rng.sample(able, min(len(able), 2)):
            words[place] += f" {rng.choice(MEASURES.split())} {_figure(rng)} {rng.choice(UNITS.split())}"
        return " ".join(words)


def _circumstances(rng: Random) -> list[str]:
    """One of each kind."""
    which, screen, room, time, day, company, food, vessel = (
        rng.choice(words.split()) for words in (WHICH, SCREENS, ROOMS, TIMES, DAYS, COMPANY, FOOD, VESSELS)
    )
    when = rng.choice((f"before {time}", f"around {time}", f"after {time}", f"on {day}", f"last {day}", f"{day} night"))
    whom = f"{rng.choice(('with', 'among', 'beside', 'behind'))} {rng.choice(ONES.split())} {company}"
    where = f"{rng.choice(('in', 'inside', 'outside', 'near'))} {rng.choice(WHOSE)} {room}"
    meal = rng.choice((f"over {food}", f"with some {food}", f"eating {food}", f"beside my {vessel} of {food}"))
    return [f"{rng.choice(('on', 'from', 'off'))} {rng.choice(WHOSE)} {which} {screen}", where, when, whom, meal]


def _plain(words: list[str]) -> bool:
    return all(word.replace("-", "").isalpha() and "rb-" not in word for word in words)


def _phrases(body: list[str]) -> list[int]:
    """Where phrases of two to eight words begin that reach to the end, or else the last words."""
    places = range(max(2, len(body) - 8), len(body) - 1)
    openers, negations = OPENERS.split(), NEGATIONS.split()
    able = [place for place in places if body[place] in openers and body[place - 1] not in negations]
    return able or [max(2, len(body) - 2)]


def _last_words(body: list[str], count: int) -> list[str]:
    """The last plain words, so many if as many stand side by side, with a negation shortly before them."""
    stop = max(i for i in range(2, len(body) + 1) if _plain(body[i - 2 : i]))
    start = next(i for i in range(max(0, stop - count), stop) if _plain(body[i:stop]))
    denied = [i for i in range(max(0, start - 4), start) if body[i] in NEGATIONS.split()]
    first = min([start, *denied])
    return body[max(0, first - (body[first] == "n't")) : stop]


def _phrase_ends(words: list[str]) -> list[int]:
    """The plain words, other than small ones, that a small word, a sign or nothing follows."""
    ends = [after in SMALL or after in (".", ",", "--", "...") for after in [*words[1:], "."]]
    return [i for i, word in enumerate(words) if ends[i] and word not in SMALL and _plain([word])]


def _figure(rng: Random) -> str:
    """A number in digits, with a decimal point, in a word, or in two joined by a hyphen."""
    digits, tens, ones = rng.randint(11, 480), rng.choice(TENS.split()), rng.choice(ONES.split())
    return rng.choice((str(digits), f"{digits % 37 + 2}.{digits % 9 + 1}", ones, f"{tens}-{ones}"))


UNKNOWN_TO_26: tuple[type[Attack], ...] = (Circumstances, Interrupted, Officialese, Refrain, Measured)
