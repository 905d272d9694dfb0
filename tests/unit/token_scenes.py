"""Token ids of texts of many lengths."""

from __future__ import annotations

from random import Random


def texts_of_many_lengths() -> list[list[int]]:
    """Nine texts of 1 to 90 tokens, the same ones always."""
    rng = Random(0)
    return [[rng.randrange(4, 250) for _ in range(rng.choice([1, 2, 5, 30, 31, 90]))] for _ in range(9)]
