"""Stretches of words: which words of a text some features are made of, and how they are written there."""

from __future__ import annotations

import re
from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from antivenom.defenses.features import Grams
from antivenom.defenses.streams import END, SPACE, START, BoolArray, Stream

OF_WORDS = ("words", "skip")
"""Kinds of features that are made of words as they stand. A template, a shape or a count is not."""


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


def written(texts: pa.ChunkedArray, stream: Stream, chosen: BoolArray) -> list[str]:
    """Every run of chosen symbols as its text has it, white space and all.

    Args:
        texts: The texts.
        stream: Their words.
        chosen: Which symbols; runs end where one is left out and at the edges of a text.
    """
    places = np.flatnonzero(chosen & is_word(stream))
    fresh = np.diff(places, prepend=-2) > 1
    cuts = np.flatnonzero(fresh)
    found = []
    for run in np.split(places, cuts[1:]) if len(places) else ():
        words = (re.escape(stream.names[symbol]) for symbol in stream.symbol[run])
        match = re.search(r"\s*".join(words), texts[int(stream.row[run[0]])].as_py())
        if match is not None:
            found.append(match.group())
    return found
