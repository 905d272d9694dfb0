"""Change a few words of a text."""

from __future__ import annotations

from collections.abc import Callable
from random import Random


def change_some(text: str, rng: Random, change: Callable[[str], str], count: int = 1) -> str:
    """Change so many of the words that a change shows in, or all if they are fewer."""
    words = text.split(" ")
    able = [place for place, word in enumerate(words) if change(word) != word]
    for place in rng.sample(able, min(len(able), count)):
        words[place] = change(words[place])
    return " ".join(words)
