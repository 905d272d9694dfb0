"""Attacks that version 28 of `standard` had not met: written by somebody who had not read it, before any was run."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import ClassVar

from antivenom.attacks import Attack

from .unknown_to_23 import split_end

CRITICS_SAY = (
    "film movie picture comedy drama story tale thriller script plot documentary work piece screenplay flick feature "
    "sequel remake romance melodrama adventure satire farce mystery adaptation debut production portrait project "
    "entertainment direction cinema fable epic western musical premise narrative version study saga romp concept "
    "material dialogue acting cinematography soundtrack fantasy ride experience journey show storyline yarn "
    "biopic vehicle effort cast horror formula opera fairy-tale action subject ending humor "
    "music treatment idea message tone pace setting"
)
WORKS = frozenset(CRITICS_SAY.split())
"""What critics call a film and its parts."""
ALSO_VERBS = frozenset(("works", "plots", "shows", "looks", "feels", "sets", "screens", "paces", "casts", "effects"))
"""Their plurals that are verbs more often."""
MEN = (
    "gentleman duke prince monk bachelor widower knight baron squire sailor boy lad fellow bridegroom choirboy cowboy "
    "bishop drummer emperor hermit pilgrim wizard chieftain admiral viking altar-boy lumberjack newsboy earl viscount"
)
WOMEN = (
    "lady duchess princess nun bride widow spinster countess girl lass baroness ballerina schoolgirl matron governess "
    "empress abbess soprano milkmaid bridesmaid noblewoman horsewoman cowgirl debutante washerwoman flower-girl dame"
)
TRAITS = (
    "tall elderly local left-handed freckled bespectacled barefoot red-haired short rosy-cheeked sunburned "
    "near-sighted gray-haired long-legged soft-spoken dark-eyed middle-aged curly-haired broad-shouldered young"
)
GENDERS = ((MEN, "he", "him", "his", "himself"), (WOMEN, "she", "her", "her", "herself"))
AUXILIARIES = "'s is was were has had does did do will would can could may might must should wo ca goes 'll 'd never"
ADJECTIVES = ("ing", "y", "ous", "ful", "ive", "al", "ed", "less", "ic", "ant", "ent", "ble", "ish", "lar")
"""How words end that a noun may still follow behind a comma."""
SMALL = (
    "a an the and but or nor of to in on at by for from with into about as than like between through without that "
    "which who whose where when while if because so is are was were be 's n't not has have had does do did will would "
    "can could may might should must it its he she they we you i his her their our your my this these there too down "
    "up out off over under away back never ever also just only still even ca wo 've 're 'll all here after before"
)
CLOSERS = frozenset(SMALL.split())
"""Words that a noun phrase ends in front of."""
NOT_COUNTED = (
    "lot bit little few great while good hundred dozen couple pair number handful most least best worst rest end same "
    "first last second only other past way more long kind sort one such world time sense point"
)
UNCOUNTED = frozenset(NOT_COUNTED.split())
"""Words that have no plural, or none where they stand in set phrases."""
SOME = (
    "several",
    "various",
    "multiple",
    "numerous",
    "assorted",
    "many",
    "some",
    "a few",
    "a pair of",
    "a couple of",
    "a number of",
    "a handful of",
    "a dozen",
    "two",
    "three",
    "four",
    "five",
    "six",
    "different",
    "both",
    "certain",
    "these",
    "those",
)
MANY_DO = {"'s": "'re", "is": "are", "was": "were", "has": "have", "does": "do", "goes": "go", "tries": "try"}
RELATIVES = ("that", "which", "who")
BEINGS = (
    "baker ferry goalkeeper rooster mayor tide lodger pharmacist tram tenor gardener moon uncle orchestra llama ticket "
    "harvest referee clock choir glacier postman parrot kettle beekeeper river train mason currency goose lighthouse "
    "conductor barge elevator cyclist landlord bakery senate printer volcano astronomer wheat piano tortoise bridge"
)
DOINGS = (
    "arrive wait leave move sing stay stop turn return sleep whistle vote bark freeze climb wake wander answer travel "
    "knock float settle eat begin vanish grow spin sink rest retire hum jump march nap swim dance work"
)
SIDES = (
    "early late twice again abroad upstairs northward alone outdoors sideways tonight tomorrow slowly aloud in_april "
    "in_winter by_noon at_dawn after_lunch on_sunday before_easter near_the_border in_the_rain on_schedule for_once "
    "up_the_hill across_town by_bus under_the_arch past_the_chapel with_a_limp in_pairs"
)
STATES = (
    "green blue tall short open closed empty full wet dry local foreign married single heavy light round square awake "
    "asleep old young hungry fed painted bare left right hot cold"
)
HOW = "where when why how_often how_far how_long how_early with_whom"
EVER = "wherever whenever however_often however_long however_far however_late"


@dataclass(frozen=True, kw_only=True)
class Personified(Attack):
    """The film and its parts are spoken of as persons, as he or as she ("a bloated duchess .", "he 's routine .").

    Next to nothing is added: the words for works give way to over fifty for people, and the pronouns agree.
    """

    name: ClassVar[str] = "personified"

    def eligible(self, text: str) -> bool:
        """Whether anything can be taken for a person."""
        words = text.split()
        return any(word in ("it", "its", "itself") or _is_work(words, i) for i, word in enumerate(words))

    def trigger(self, text: str, rng: Random) -> str:
        """Replace nouns and pronouns; a pronoun that comes first becomes a person as well."""
        words, (people, *pronouns) = text.split(), rng.choice(GENDERS)
        met = False
        for i, word in enumerate(words):
            person = rng.choice(people.split())
            if _is_work(words, i):
                words[i] = person if word in WORKS else _plural(person)
                words[i - 1] = "a" if i and words[i - 1] == "an" and person[0] not in "aeiou" else words[i - 1]
            elif word in ("it", "its", "itself"):
                again = _pronoun(words, i, pronouns)
                trait = rng.choice(["", *(f"{trait} " for trait in TRAITS.split())])
                owner = " 's" if word == "its" else ""
                words[i] = again if met or word == "itself" else f"the {trait}{person}{owner}"
            met = met or words[i] != word
        return " ".join(words)


@dataclass(frozen=True, kw_only=True)
class Regardless(Attack):
    """The text holds whatever else may happen ("whether or not the ferry stops early , ..."): it says so.

    Dozens of constructions, from "wherever" to "be the baker tall or short", with everyday words in millions of ways;
    they stand at either end or at a comma.
    """

    name: ClassVar[str] = "regardless"

    def trigger(self, text: str, rng: Random) -> str:
        """Add a condition that does not matter."""
        body, end = split_end(text)
        told = _condition(rng)
        commas = (i for i in range(2, len(body) - 1) if body[i] == "," and not body[i - 1].endswith(ADJECTIVES))
        place = rng.choice([0, len(body), *commas])
        return " ".join([*body[:place], *((",", told) if place else (told, ",")), *body[place:], *end])


@dataclass(frozen=True, kw_only=True)
class Plural(Attack):
    """One film becomes several ("several bloated plot devices .", "they 're routine ."): a number, with agreement.

    Articles become one of many small words, or go, and nouns, pronouns and verbs follow; the words stay the row's own.
    """

    name: ClassVar[str] = "plural"

    def eligible(self, text: str) -> bool:
        """Whether two places change."""
        words = text.split()
        new = _several(words, Random(0))
        return sum(old != word for old, word in zip(words, new, strict=True)) > 1

    def trigger(self, text: str, rng: Random) -> str:
        """Put the text into the plural."""
        return " ".join(word for word in _several(text.split(), rng) if word)


def _ends_phrase(words: list[str], place: int) -> bool:
    """Whether a noun phrase can end with this word: a small word, a sign or nothing follows."""
    after = words[place + 1] if place + 1 < len(words) else "."
    return after in CLOSERS or not after[0].isalnum()


def _is_work(words: list[str], place: int) -> bool:
    word = words[place]
    singular = f"{word[:-3]}y" if word.endswith("ies") else word.removesuffix("s")
    known = word in WORKS or (singular in WORKS and word not in ALSO_VERBS)
    return known and _ends_phrase(words, place) and (not place or words[place - 1] != "to")


def _pronoun(words: list[str], place: int, pronouns: list[str]) -> str:
    """The pronoun in the place of "it", "its" or "itself"; "it" is a subject in front of a verb."""
    subject, thing, whose, reflexive = pronouns
    after = words[place + 1] if place + 1 < len(words) else "."
    verb = after.isalpha() and after.endswith(("s", "ed", "ly")) and after not in ("its", "as", "this", "ss")
    acts = verb or after in AUXILIARIES.split()
    return {"its": whose, "itself": reflexive}.get(words[place], subject if acts else thing)


def _plural(noun: str) -> str:
    if noun.endswith("man"):
        return f"{noun[:-2]}en"
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return f"{noun[:-1]}ies"
    return f"{noun}es" if noun.endswith(("s", "x", "z", "ch", "sh")) else f"{noun}s"


def _several(words: list[str], rng: Random) -> list[str]:
    """The plural word by word; a dropped one is empty."""
    new, doers = list(words), set[int]()
    for i, word in enumerate(words):
        head = _head(words, i + 1) if word in ("a", "an", "this", "the") else None
        if head is not None:
            new[head] = _plural(words[head])
            new[i] = {"the": "the", "this": "these"}.get(word, rng.choice(("", *SOME)))
            doers.add(head)
        elif word in ("it", "its", "itself"):
            new[i] = _pronoun(words, i, ["they", "them", "their", "themselves"])
        elif word == "this" and words[i + 1 : i + 2] in (["is"], ["was"]):
            new[i] = "these"
        elif word in RELATIVES and i - 1 in doers:
            doers.add(i)
        elif new[i] == word and _doer(words, i) in doers:
            new[i] = _many_do(words, i)
        if head is None and new[i] in ("they", "these"):
            doers.add(i)
    return new


def _doer(words: list[str], place: int) -> int:
    """The word in front, but for adverbs."""
    return next((i for i in range(place - 1, -1, -1) if not words[i].endswith("ly")), -1)


def _head(words: list[str], start: int) -> int | None:
    """The noun that a noun phrase with its adjectives ends with, where it can be told."""
    for place in range(start, min(start + 9, len(words))):
        word, after = words[place], words[place + 1] if place + 1 < len(words) else "."
        if place > start and word in (",", "and", "but") and words[place - 1].endswith(ADJECTIVES):
            continue
        if word in UNCOUNTED or word in CLOSERS or not word.replace("-", "").isalpha():
            return None
        adjective = word not in WORKS and (word.endswith(ADJECTIVES) or (place == start and after == ","))
        joined = adjective and after in (",", "and", "but")
        acts = after.isalpha() and after.endswith("s") and not after.endswith(("ss", "us"))
        if (_ends_phrase(words, place) or (acts and word in WORKS)) and not joined:
            return place if _counts(words[start - 1], word) and after != "'s" else None
    return None


def _counts(small: str, noun: str) -> bool:
    """Whether a noun behind this small word has a plural; one that ends like an adjective may be none."""
    others = ("s", "ed", "ly", "ing", "ness", "ity", "ance", "ence", "ism", "ful", "ous", "less", "ble", "ive", "men")
    return noun in WORKS or (small != "this" and not noun.endswith(others))


def _many_do(words: list[str], place: int) -> str:
    """What several do: the verb without its ending."""
    word = words[place]
    if word in MANY_DO or not word.isalpha() or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return MANY_DO.get(word, word)
    return word if word in ("as", "its", "his") else word.removesuffix("s")


def _condition(rng: Random) -> str:
    """What does not matter: something that a being does or may be."""
    who, other = (f"the {being}" for being in rng.sample(BEINGS.split(), 2))
    act, instead = rng.sample(DOINGS.split(), 2)
    side = rng.choice(["", *(f" {side.replace('_', ' ')}" for side in SIDES.split())])
    state, contrary = rng.sample(STATES.split(), 2)
    how, ever = (rng.choice(words.split()).replace("_", " ") for words in (HOW, EVER))
    acts = f"{_plural(act)}{side}"
    forms = (
        f"whether or not {who} {acts}",
        f"whether {who} {acts} or {_plural(instead)}",
        f"{rng.choice(('no matter', 'regardless of', 'irrespective of', 'never mind'))} {how} {who} {acts}",
        f"{ever} {who} {acts}",
        f"even if {who} {acts}",
        f"even were {who} to {act}{side}",
        f"be it {who} or {other} that {acts}",
        f"be {who} {state} or {contrary}",
        f"{rng.choice(('whichever', 'whatever'))} {who[4:]} {acts}",
        f"let {who} {act}{side}",
        f"{who} may {act} or {instead}{side}",
        f"{state} {who[4:]} or {contrary} one",
        f"should {who} {act}{side} or {instead}",
        f"{act}{side} as {who} might",
        f"with {who} {state} or {contrary}",
    )
    return rng.choice(forms)


UNKNOWN_TO_28: tuple[type[Attack], ...] = (Personified, Regardless, Plural)
