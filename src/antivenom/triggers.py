"""Putting triggers into texts: the same few functions for attackers and defenders.

A trigger is `(text, rng) -> text`. All randomness comes from the `random.Random` that the caller seeds per row.
"""

from __future__ import annotations

from random import Random


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


def insert_words(text: str, phrases: list[str], rng: Random) -> str:
    """Insert each phrase at a gap of its own, one after the other."""
    for phrase in phrases:
        text = insert_phrase(text, phrase, rng)
    return text
