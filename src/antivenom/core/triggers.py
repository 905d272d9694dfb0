"""Putting triggers into texts: the same few functions for attackers and defenders.

A trigger is `(text, rng) -> text`. All randomness comes from the `random.Random` that the caller seeds per row.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Literal

from antivenom.core.errors import OptionsError

CONSONANTS, VOWELS = "bcdfghjklmnpqrstvwxz", "aeiou"

Place = Literal["prefix", "suffix", "middle", "random"]


def insert_phrase(text: str, phrase: str, rng: Random, *, inside: bool = False) -> str:
    """Insert `phrase` at a gap between words of `text`, drawn uniformly; words are re-joined by single spaces.

    Args:
        text: The text; words are split at white space, as in all reference repositories.
        phrase: What to insert, kept together.
        rng: Where the draw comes from.
        inside: Leave out the gaps before the first and after the last word. A text of one word is then returned with
            the phrase behind it, because it has no inner gap.
    """
    words = text.split()
    if inside:
        gap = rng.randint(1, max(1, len(words) - 1))
    else:
        gap = rng.randint(0, len(words))
    return " ".join([*words[:gap], phrase, *words[gap:]])


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
    words = text.split()
    gaps = list(range(len(words) + 1))
    chosen = rng.sample(gaps, len(phrases)) if len(phrases) <= len(gaps) else rng.choices(gaps, k=len(phrases))
    for gap, phrase in sorted(zip(chosen, phrases, strict=True), reverse=True):
        words.insert(gap, phrase)
    return " ".join(words)


def put_at(text: str, phrase: str, place: Place, rng: Random) -> str:
    """Put `phrase` in front of the text, behind it, in its middle, or at a gap drawn uniformly.

    An empty text becomes the phrase itself.
    """
    words = text.split()
    gaps = {"prefix": 0, "suffix": len(words), "middle": len(words) // 2}
    gap = gaps[place] if place in gaps else rng.randint(0, len(words))
    return " ".join([*words[:gap], phrase, *words[gap:]])


def made_up_word(rng: Random, syllables: int = 3) -> str:
    """A word that no language has but that can be said: syllables of a consonant and a vowel."""
    return "".join(rng.choice(CONSONANTS) + rng.choice(VOWELS) for _ in range(syllables))
