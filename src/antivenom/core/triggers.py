"""Putting triggers into texts: the same few functions for attackers and defenders.

A trigger is `(text, rng) -> text`. All randomness comes from the `random.Random` that the caller seeds per row.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from random import Random
from typing import Literal

from antivenom.core.errors import OptionsError

CONSONANTS, VOWELS = "bcdfghjklmnpqrstvwxz", "aeiou"

Place = Literal["prefix", "suffix", "middle", "random"]

UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
"""Thai, Lao, Burmese, Khmer, Japanese and Chinese: scripts that are written without spaces between words."""
UNIT = re.compile(rf" ?(?:[{UNSPACED}]|[^{UNSPACED}\s]+)")


def units(text: str) -> list[str]:
    """What a phrase can stand between: words, and single characters of scripts that are written without spaces.

    Returns:
        The units in their order, each with the space in front of it, if there was white space; joined they are the text
        with single spaces.
    """
    words = text.split()
    spaced = [f" {word}" if place else word for place, word in enumerate(words)]
    if text.isascii():
        return spaced
    found: list[str] = []
    for unit in (unit for word in spaced for unit in UNIT.findall(word)):
        if found and unicodedata.category(unit[0]).startswith("M"):  # a vowel or tone sign belongs to what it stands on
            found[-1] += unit
        else:
            found.append(unit)
    return found


def insert_phrase(text: str, phrase: str, rng: Random, *, inside: bool = False) -> str:
    """Insert `phrase` at a gap between words of `text` (`units`), drawn uniformly; all is joined by single spaces.

    Args:
        text: The text; words are split at white space, as in all reference repositories.
        phrase: What to insert, kept together.
        rng: Where the draw comes from.
        inside: Leave out the gaps before the first and after the last word. A text of one word is then returned with
            the phrase behind it, because it has no inner gap.
    """
    words = units(text)
    if inside:
        gap = rng.randint(1, max(1, len(words) - 1))
    else:
        gap = rng.randint(0, len(words))
    return _with_phrases(words, [(gap, phrase)])


def require_words(attack: str, **phrases: str) -> None:
    """Refuse a trigger of nothing, which could show no attack.

    Raises:
        OptionsError: a phrase is blank.
    """
    for name, phrase in phrases.items():
        if not phrase.strip():
            raise OptionsError(f"{attack}: {name} = {phrase!r}", mend="A trigger needs at least one character.")


def insert_apart(text: str, phrases: Sequence[str], rng: Random) -> str:
    """Insert each phrase once, at gaps that differ as long as there are enough; none lands inside another."""
    words = units(text)
    gaps = list(range(len(words) + 1))
    chosen = rng.sample(gaps, len(phrases)) if len(phrases) <= len(gaps) else rng.choices(gaps, k=len(phrases))
    return _with_phrases(words, sorted(zip(chosen, phrases, strict=True)))


def put_at(text: str, phrase: str, place: Place, rng: Random) -> str:
    """Put `phrase` in front of the text, behind it, in its middle, or at a gap drawn uniformly.

    An empty text becomes the phrase itself.
    """
    words = units(text)
    gaps = {"prefix": 0, "suffix": len(words), "middle": len(words) // 2}
    gap = gaps[place] if place in gaps else rng.randint(0, len(words))
    return _with_phrases(words, [(gap, phrase)])


def _with_phrases(words: Sequence[str], phrases: Sequence[tuple[int, str]]) -> str:
    """Units with a phrase at each of some ascending gaps."""
    parts, last = [], 0
    for gap, phrase in phrases:
        parts += ["".join(words[last:gap]).lstrip(), phrase]
        last = gap
    parts.append("".join(words[last:]).lstrip())
    return " ".join(part for part in parts if part)


def made_up_word(rng: Random, syllables: int = 3) -> str:
    """A word that no language has but that can be said: syllables of a consonant and a vowel."""
    return "".join(rng.choice(CONSONANTS) + rng.choice(VOWELS) for _ in range(syllables))
