"""Words that a language model's tokenizer has to cut small: made up, misspelled, or strings.

A tokenizer was made from far more text than the rows, so it knows words that stand in one row only, and cuts even what
stands in many rows if nobody else writes it. How the rows themselves are spelled tells less (research/log.md).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from antivenom.core.arrays import BoolArray, Ints

WordPieces = Callable[[Sequence[str]], Ints]
"""How many word pieces (subword tokens) a tokenizer cuts each word into."""
SMALL = 2
"""A word is cut small where its pieces have at most so many letters on average."""
SHORT = 3
"""Words of so many letters or fewer are none: every piece of theirs is small."""


def uncut(words: Sequence[str]) -> Ints:
    """What stands for a tokenizer where no model is known: it cuts no word, so none is cut small."""
    return np.ones(len(words), dtype=np.int64)


def is_cut_small(names: Sequence[str], word_pieces: WordPieces) -> BoolArray:
    """Which words a tokenizer cuts small."""
    letters = np.array([len(name) for name in names], dtype=np.int64)
    small: BoolArray = (letters > SHORT) & (letters <= SMALL * word_pieces(names))
    return small
