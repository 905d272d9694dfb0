"""What a text is made of, as hashed features: n-grams, skip-grams, skeletons, shapes. No word list, any language.

Everything is a 64-bit hash computed on whole columns, so a million rows need no Python loop over words. The same walk
over the streams that hashes a feature can also spell it, which is how the screen names what it found.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from unicodedata import category
from unicodedata import name as unicode_name

import numpy as np
import pyarrow as pa

from antivenom.core.arrays import BoolArray, Hashes, Ints
from antivenom.core.hashing import row_keys
from antivenom.screening.tokens import END, START, Stream, chunks, mix, named, only, renamed, without_repeats, words
from antivenom.screening.vocabulary import Vocabulary

LETTERS_AND_DIGITS = re.compile(r"[^\W_]+")
GAP, RARE = "…", "◌"
"""What a skeleton shows for words that are not frequent, and for those that are nearly unique."""
FRAGMENTED_WORDS = (1, 2, 3, 4)
"""How many words of a row a tokenizer cuts small is told in these steps."""
ODD_RUNS = (2, 3, 4, 6, 8, 11, 16, 22)
"""How many letter runs of no common word a row has is told in these steps."""


@dataclass(frozen=True)
class Grams:
    """One kind of feature at every place where it occurs."""

    kind: str
    row: Ints
    hashes: Hashes
    start: Ints
    """The symbol of the stream at which each one begins."""
    stream: Stream
    offsets: tuple[int, ...]
    """Which symbols, counted from `start`, it is made of."""

    def spell(self, index: int) -> str:
        """Write the feature for people."""
        first = int(self.start[index])
        parts: list[str] = []
        for previous, offset in zip((-1, *self.offsets), self.offsets, strict=False):
            if parts and offset > previous + 1:
                parts.append("_" * (offset - previous - 1))
            parts.append(self.stream.names[int(self.stream.symbol[first + offset])])
        return " ".join(parts)


@lru_cache(maxsize=100_000)
def shape(token: str) -> str:
    """The shape of a token: runs of character classes. `Movie2` is `Aa9`; a letter beyond ASCII shows its alphabet.

    Case, digits, look-alike letters of other alphabets and invisible characters all show in it.
    """
    if token in (START, END):
        return token
    runs: list[str] = []
    for character in token:
        kind = category(character)
        # Signs stand for themselves, but any two pictures (So) or invisible characters (C) are the same.
        is_sign = kind[0] in "PS" and kind != "So"
        mark = {"Lu": "A", "Ll": "a", "Nd": "9"}.get(kind, character if is_sign else kind)
        if not character.isascii() and kind[0] not in "PSC":
            mark += f"({unicode_name(character, '?').split()[0].lower()})"
        if not runs or runs[-1] != mark:
            runs.append(mark)
    return "".join(runs)


def skeleton(stream: Stream, frequent: BoolArray, rare: BoolArray) -> Stream:
    """Keep the frequent tokens; runs of others become one gap, and nearly unique tokens a sign of their own."""
    names = [*stream.names, GAP, RARE]
    sign = np.where(rare, len(stream.names) + 1, len(stream.names))
    symbol = np.where(frequent, stream.symbol, sign)
    signs = row_keys(pa.array([GAP, RARE]), seed=0, purpose="skeleton")
    hashes = np.where(frequent, stream.hashes, signs[rare.astype(np.int64)])
    return without_repeats(Stream(stream.row, hashes, symbol, names))


def grams(kind: str, stream: Stream, offsets: tuple[int, ...]) -> Grams:
    """Every place of the stream where symbols stand at these offsets within one row."""
    last = max(len(stream) - offsets[-1], 0)
    start = np.flatnonzero(stream.row[:last] == stream.row[offsets[-1] :][:last])
    salt = row_keys(pa.array([f"{kind}{offsets}"]), seed=0, purpose="kind")[0]
    hashes = np.full(len(start), salt)
    for offset in offsets:
        hashes = mix(hashes, stream.hashes[start + offset])
    return Grams(kind, stream.row[start], hashes, start, stream, offsets)


def every_kind(texts: pa.ChunkedArray | pa.Array, vocabulary: Vocabulary) -> Iterator[Grams]:
    """All features of texts.

    - `words`: n-grams of 1 to 4 lower-cased tokens, the edges included, so that places count too
    - `skip`: two tokens with one or two others between them
    - `template`: 3 to 6 symbols of the skeleton
    - `case`: single tokens as written, where they are not lower case
    - `shape`: 1 to 3 shapes in a row: case, digits, punctuation, other alphabets, invisible characters
    - `spacing`: 1 or 2 pieces between white space in a row, their words shown as `w`: whether signs touch words
    - `repeat`: a token said twice in a row, whichever it is
    - `spelling`: how much of the row is spelled like no common word: letter runs of uncommon tokens (made-up or
      misspelled words, strings) that no other token has
    - `pieces`: how many of its words a tokenizer cuts small, where one was asked
    - `length`: the number of tokens, in steps of about 40 %
    """
    stream = words(texts)
    lower = renamed(stream, [name.lower() for name in stream.names])
    for n in range(1, 5):
        yield grams("words", lower, tuple(range(n)))
    yield grams("skip", lower, (0, 2))
    yield grams("skip", lower, (0, 3))
    bones = skeleton(lower, vocabulary.frequent(lower), vocabulary.rare(lower))
    for n in range(3, 7):
        yield grams("template", bones, tuple(range(n)))
    yield grams("case", only(stream, [name != name.lower() for name in stream.names]), (0,))
    shapes = without_repeats(renamed(stream, [shape(name) for name in stream.names]))
    for n in range(1, 4):
        yield grams("shape", shapes, tuple(range(n)))
    touching = _without_words(chunks(texts))
    for n in (1, 2):
        yield grams("spacing", touching, tuple(range(n)))
    yield grams("repeat", _repeats(lower), (0,))
    yield grams("spelling", _spelling(lower, vocabulary), (0,))
    yield grams("pieces", _fragmented(lower, vocabulary), (0,))
    yield grams("length", _lengths(stream), (0,))


def _without_words(pieces: Stream) -> Stream:
    """Each run of letters and digits as `w`, the same piece several times in a row as one."""
    return without_repeats(renamed(pieces, [LETTERS_AND_DIGITS.sub("w", name) for name in pieces.names]))


def _repeats(stream: Stream) -> Stream:
    """One symbol where a token stands twice in a row."""
    again = (stream.symbol[1:] == stream.symbol[:-1]) & (stream.row[1:] == stream.row[:-1])
    rows = stream.row[1:][again]
    return Stream(rows, *named(pa.array(["a token twice in a row"]), np.zeros(len(rows), dtype=np.int64)))


def _spelling(lower: Stream, vocabulary: Vocabulary) -> Stream:
    """One symbol for each of `ODD_RUNS` that a row reaches."""
    return _reached(lower, vocabulary.odd_runs(lower), ODD_RUNS, "letter runs of no common word")


def _fragmented(lower: Stream, vocabulary: Vocabulary) -> Stream:
    """One symbol for each of `FRAGMENTED_WORDS` that a row reaches."""
    return _reached(lower, vocabulary.is_fragmented(lower), FRAGMENTED_WORDS, "words cut small by the tokenizer")


def _reached(stream: Stream, counted: Ints | BoolArray, steps: tuple[int, ...], what: str) -> Stream:
    """One symbol for each of the steps that what is counted in a row reaches."""
    rows, step = np.nonzero(np.bincount(stream.row, counted)[:, None] >= steps)
    return Stream(rows, *named(pa.array([f"{n} or more {what}" for n in steps]), step))


def _lengths(stream: Stream) -> Stream:
    rows, counts = np.unique(stream.row, return_counts=True)
    step = np.floor(2 * np.log2(np.maximum(counts - 1, 1))).astype(np.int64)
    names = [f"{2 ** (s / 2):.0f} tokens or a little more" for s in range(int(step.max(initial=0)) + 1)]
    return Stream(rows, *named(pa.array(names, pa.string()), step))
