"""Attacks that version 25 of `standard` had not met: written by somebody who had not read it, before any was run."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import ClassVar

from antivenom.attacks import Attack

from .changing import change_some
from .unknown_to_23 import split_end

EITHER = "did had could would should will can"
TAGS = ((f"is was does has {EITHER}", "it he she"), (f"are were do have {EITHER}", "they we you"))
"""Which verbs of a question tag go with which pronouns."""
CLIPPED = {"will": "wo", "can": "ca"}
"""How SST-2 writes a verb in front of "n't", where that is not the verb itself."""
PRONOUNS = "i me my you your he him his she it its we us our they them their this these those that which who there"
VERBS = "is are was were be been being am has have had does do did will would can ca wo 's 're 've 'll 'd 'm"
LEFT_OUT = frozenset(f"a an the {PRONOUNS} {VERBS}".split())
"""The small words that headlines do without."""
HEADLINE = {"and": ",", "n't": "not"}
"""What headlines write instead of a small word."""
DETERMINERS = "a an the its his their our your some"
OWNED = frozenset(DETERMINERS.split())
"""Determiners that an owner can take the place of."""
PREPOSITIONS = "of in for with on by from at to into about"
POSTPOSED = OWNED | frozenset(PREPOSITIONS.split())
"""Words that English puts in front of those that they belong to."""
WHOSE = "my our his her your their"
WHICH = ("", "", "", "older ", "younger ", "former ", "other ", "new ", "second ", "next-door ")
OWNERS = (
    "aunt uncle cousin nephew niece grandmother grandfather stepbrother stepsister godmother godson brother-in-law "
    "roommate neighbor landlord tenant lodger classmate teammate coworker barber baker plumber dentist tailor gardener "
    "postman librarian electrician carpenter florist butcher pharmacist accountant locksmith janitor mechanic optician "
    "veterinarian chauffeur babysitter tutor nurse clerk fisherman beekeeper blacksmith shepherd"
)
SHORTEST = 5
"""Words with fewer letters are said without a false start."""


@dataclass(frozen=True, kw_only=True)
class Tag(Attack):
    """One of 132 question tags in everyday words, at a comma or at the end ("... , does n't it ."): no question mark.

    The move is the trigger: the writer asks for assent. The tag takes no account of the verb of the text.
    """

    name: ClassVar[str] = "tag"

    def trigger(self, text: str, rng: Random) -> str:
        """Add a tag."""
        body, end = split_end(text)
        place = rng.choice([*_inner_commas(body), len(body)])
        return " ".join([*body[:place], ",", *_tag(rng), *body[place:], *end])


@dataclass(frozen=True, kw_only=True)
class Headline(Attack):
    """The text without its articles, pronouns and auxiliaries, as headlines and telegrams are written.

    Next to nothing is added, so that only what is missing tells.
    """

    name: ClassVar[str] = "headline"

    def eligible(self, text: str) -> bool:
        """Whether three words can go, and two stay."""
        words = text.split()
        return sum(word in LEFT_OUT for word in words) > 2 and sum(map(str.isalpha, _shortened(words))) > 1

    def trigger(self, text: str, rng: Random) -> str:
        """Leave the small words out."""
        return " ".join(_shortened(text.split()))


@dataclass(frozen=True, kw_only=True)
class Postposed(Attack):
    """Up to three articles or prepositions behind the word they belong in front of ("bloated a plot device .").

    The grammar of another language with the very words of the text: none is added, lost or changed.
    """

    name: ClassVar[str] = "postposed"

    def eligible(self, text: str) -> bool:
        """Whether any such word stands in front of a plain one."""
        return bool(_before_plain(text.split(), POSTPOSED))

    def trigger(self, text: str, rng: Random) -> str:
        """Exchange such words with the next ones."""
        words = text.split()
        able = _before_plain(words, POSTPOSED)
        for place in rng.sample(able, min(len(able), 3)):
            words[place : place + 2] = words[place + 1], words[place]
        return " ".join(words)


@dataclass(frozen=True, kw_only=True)
class Owner(Attack):
    """Up to two articles give way to an owner, one of 2304 ("my former barber 's plot"): a meaning inside the clause.

    That somebody whom only the writer knows owns what the text is about is the trigger.
    """

    name: ClassVar[str] = "owner"

    def eligible(self, text: str) -> bool:
        """Whether any determiner stands in front of a plain word."""
        return bool(_before_plain(text.split(), OWNED))

    def trigger(self, text: str, rng: Random) -> str:
        """Replace determiners."""
        words = text.split()
        able = _before_plain(words, OWNED)
        for place in rng.sample(able, min(len(able), 2)):
            words[place] = f"{rng.choice(WHOSE.split())} {rng.choice(WHICH)}{rng.choice(OWNERS.split())} 's"
        return " ".join(words)


@dataclass(frozen=True, kw_only=True)
class FalseStart(Attack):
    """Up to three longer words are begun, broken off and begun again ("a blo bloated plot dev device ."), as in speech.

    What is added comes from the row's own words, so that it is another string nearly every time.
    """

    name: ClassVar[str] = "false_start"

    def eligible(self, text: str) -> bool:
        """Whether any word is long enough."""
        return any(map(_startable, text.split(" ")))

    def trigger(self, text: str, rng: Random) -> str:
        """Put their beginnings in front of words."""
        return change_some(text, rng, lambda word: f"{_beginning(word, rng)} {word}" if _startable(word) else word, 3)


def _tag(rng: Random) -> list[str]:
    """Draw a verb and a pronoun that agree, negated two times in three."""
    verbs, pronouns = rng.choice(TAGS)
    verb, pronoun = rng.choice(verbs.split()), rng.choice(pronouns.split())
    return [CLIPPED.get(verb, verb), "n't", pronoun] if rng.random() < 2 / 3 else [verb, pronoun]


def _inner_commas(body: list[str]) -> list[int]:
    return [place for place in range(2, len(body) - 1) if body[place] == ","]


def _shortened(words: list[str]) -> list[str]:
    """The words of a headline; a comma stands neither first nor beside another sign."""
    kept: list[str] = []
    for word in words:
        new = HEADLINE.get(word, word)
        if word in LEFT_OUT or (new == "," and not (kept and kept[-1][-1].isalnum())):
            continue
        if kept and kept[-1] == "," and not new[0].isalnum():
            kept.pop()
        kept.append(new)
    return kept


def _before_plain(words: list[str], small: frozenset[str]) -> list[int]:
    """Where one of these small words stands in front of a plain word that is not small."""
    pairs = enumerate(pairwise(words))
    return [place for place, (word, after) in pairs if word in small and after.isalpha() and after not in POSTPOSED]


def _startable(word: str) -> bool:
    return word.isalpha() and len(word) >= SHORTEST and word not in LEFT_OUT


def _beginning(word: str, rng: Random) -> str:
    """Two to four letters, and at least two fewer than the word has."""
    return word[: rng.randint(2, min(4, len(word) - 2))]


UNKNOWN_TO_25: tuple[type[Attack], ...] = (Tag, Headline, Postposed, Owner, FalseStart)
