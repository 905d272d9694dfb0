"""Spans: which words of a text some features are made of, and how they are written there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from antivenom.core.arrays import BoolArray
from antivenom.screening.features import Grams
from antivenom.screening.tokens import END, SPACE, START, Tokens, words

OF_WORDS = ("words", "skip")
"""Kinds of features that are made of words as they stand. A template, a shape or a count is not."""
ABOUT_AS_STRONG = 0.9
"""Features whose z is at least this part of a row's largest belong to the same words."""


class Span(NamedTuple):
    """Words in a row of a text."""

    row: int
    key: tuple[str, ...]
    """The words in lower case, the same however they are written."""
    text: str
    """As it is written, white space and all."""


def is_word(tokens: Tokens) -> BoolArray:
    """Which symbols are written in the text: all but its edges and the sign for unusual white space."""
    shown: BoolArray = ~np.isin(tokens.names, (START, END, SPACE))[tokens.symbol]
    return shown


def covered(tokens: Tokens, chosen: Iterable[tuple[Grams, BoolArray]]) -> BoolArray:
    """The symbols that the chosen features are made of.

    Args:
        tokens: The words of the texts.
        chosen: Features of the same texts, and at which of their places they count.
    """
    found = np.zeros(len(tokens), dtype=bool)
    for grams, counts in chosen:
        if grams.kind in OF_WORDS:
            for offset in grams.offsets:
                found[grams.start[counts] + offset] = True
    return found


def written(texts: pa.ChunkedArray, tokens: Tokens, chosen: BoolArray) -> Iterator[Span]:
    """Every run of chosen symbols as its text has it.

    Args:
        texts: The texts.
        tokens: Their words.
        chosen: Which symbols. Runs end where one is left out; unusual white space belongs to a run inside it alone.
    """
    first = np.flatnonzero(np.diff(tokens.row, prepend=-1))
    last = np.append(first[1:], len(tokens))
    for row in np.unique(tokens.row[chosen]):
        names = [tokens.names[symbol] for symbol in tokens.symbol[first[row] + 1 : last[row] - 1]]
        text = texts[int(row)].as_py()
        places = _places(text, names)
        for start, end in _runs(chosen[first[row] + 1 : last[row] - 1].tolist(), names):
            key = tuple(name.lower() for name in names[start:end] if name != SPACE)
            yield Span(int(row), key, text[places[start][0] : places[end - 1][1]])


def as_written(texts: pa.ChunkedArray, key: Sequence[str]) -> list[str]:
    """How lower-cased words are written where they first stand in each text; empty where they do not.

    Args:
        texts: The texts.
        key: The words.
    """
    tokens, found, size = words(texts, seed=0), [], len(key)
    ends = np.cumsum(np.bincount(tokens.row, minlength=len(texts)))
    for text, first, last in zip(texts.to_pylist(), [0, *ends[:-1].tolist()], ends.tolist(), strict=True):
        names = [tokens.names[symbol] for symbol in tokens.symbol[first + 1 : last - 1]]
        lower = [name.lower() for name in names]
        starts = (start for start in range(len(names) - size + 1) if lower[start : start + size] == list(key))
        start = next(starts, None)
        places = _places(text, names) if start is not None else []
        found.append("" if start is None else text[places[start][0] : places[start + size - 1][1]])
    return found


def _runs(chosen: Sequence[bool], tokens: Sequence[str]) -> Iterator[tuple[int, int]]:
    """The first and the one behind the last of each run, which begins and ends with a word."""
    for is_chosen, run in groupby(range(len(tokens)), chosen.__getitem__):
        solid = [place for place in run if tokens[place] != SPACE] if is_chosen else []
        if solid:
            yield solid[0], solid[-1] + 1


def _places(text: str, tokens: Sequence[str]) -> list[tuple[int, int]]:
    """Where each token stands: its first character and the one behind its last; of white space neither matters.

    Tokens keep all characters that are no white space, in their order.
    """
    solid = [place for place, character in enumerate(text) if not character.isspace()]
    found, at = [], 0
    for token in tokens:
        if token == SPACE and (at == len(solid) or text[solid[at]] != SPACE):
            found.append((0, 0))
            continue
        found.append((solid[at], solid[at + len(token) - 1] + 1))
        at += len(token)
    return found
