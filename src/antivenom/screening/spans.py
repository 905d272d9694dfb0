"""Stretches of words: which words of a text some features are made of, and how they are written there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from antivenom.core.arrays import BoolArray
from antivenom.screening.features import Grams
from antivenom.screening.tokens import END, SPACE, START, Stream, words

OF_WORDS = ("words", "skip")
"""Kinds of features that are made of words as they stand. A template, a shape or a count is not."""
ABOUT_AS_STRONG = 0.9
"""Features whose z is at least this part of a row's largest belong to the same words."""


class Stretch(NamedTuple):
    """Words in a row of a text."""

    row: int
    key: tuple[str, ...]
    """The words in lower case, the same however they are written."""
    text: str
    """As it is written, white space and all."""


def is_word(stream: Stream) -> BoolArray:
    """Which symbols are written in the text: all but its edges and the sign for unusual white space."""
    shown: BoolArray = ~np.isin(stream.names, (START, END, SPACE))[stream.symbol]
    return shown


def covered(stream: Stream, chosen: Iterable[tuple[Grams, BoolArray]]) -> BoolArray:
    """The symbols that the chosen features are made of.

    Args:
        stream: The words of the texts.
        chosen: Features of the same texts, and at which of their places they count.
    """
    found = np.zeros(len(stream), dtype=bool)
    for grams, counts in chosen:
        if grams.kind in OF_WORDS:
            for offset in grams.offsets:
                found[grams.start[counts] + offset] = True
    return found


def written(texts: pa.ChunkedArray, stream: Stream, chosen: BoolArray) -> Iterator[Stretch]:
    """Every run of chosen symbols as its text has it.

    Args:
        texts: The texts.
        stream: Their words.
        chosen: Which symbols. Runs end where one is left out; unusual white space belongs to a run inside it alone.
    """
    first = np.flatnonzero(np.diff(stream.row, prepend=-1))
    last = np.append(first[1:], len(stream))
    for row in np.unique(stream.row[chosen]):
        tokens = [stream.names[symbol] for symbol in stream.symbol[first[row] + 1 : last[row] - 1]]
        text = texts[int(row)].as_py()
        spans = _places(text, tokens)
        for start, end in _runs(chosen[first[row] + 1 : last[row] - 1], tokens):
            key = tuple(token.lower() for token in tokens[start:end] if token != SPACE)
            yield Stretch(int(row), key, text[spans[start][0] : spans[end - 1][1]])


def as_written(text: str, key: Sequence[str]) -> str | None:
    """How lower-cased words are written where they first stand in a text, if they do."""
    stream = words(pa.chunked_array([[text]]))
    tokens = [stream.names[symbol] for symbol in stream.symbol[1:-1]]
    lower, size = [token.lower() for token in tokens], len(key)
    for start in range(len(tokens) - size + 1):
        if lower[start : start + size] == list(key):
            spans = _places(text, tokens)
            return text[spans[start][0] : spans[start + size - 1][1]]
    return None


def _runs(chosen: BoolArray, tokens: Sequence[str]) -> Iterator[tuple[int, int]]:
    """The first and the one behind the last of each run, which begins and ends with a word."""
    places = np.flatnonzero(chosen)
    for run in np.split(places, np.flatnonzero(np.diff(places) > 1) + 1):
        solid = [int(place) for place in run if tokens[place] != SPACE]
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
