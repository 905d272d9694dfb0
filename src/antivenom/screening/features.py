"""What a text is made of, as hashed features: n-grams, skip-grams, skeletons, shapes. No word list, any language.

Everything is a 64-bit hash, keyed by the secret seed and computed on whole columns, so a million rows need no Python
loop over words. The same walk over the tokens that hashes a feature can also spell it, which is how the screen names
what it found.
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
from antivenom.screening.tokens import (
    END,
    START,
    SmallInts,
    Tokens,
    chunks,
    lowered,
    mix,
    only,
    renamed,
    symbols,
    without_repeats,
    words,
)
from antivenom.screening.vocabulary import Vocabulary

LETTERS_AND_DIGITS = re.compile(r"[^\W_]+")
GAP, RARE = "…", "◌"
"""What a skeleton shows for words that are not frequent, and for those that are nearly unique."""
CACHED = 1 << 15
"""So many features are hashed at once: few enough to stay in the processor's cache meanwhile."""
CUT_SMALL_WORDS = (1, 2, 3, 4)
"""How many words of a row a tokenizer cuts small is told in these steps."""
ODD_RUNS = (2, 3, 4, 6, 8, 11, 16, 22)
"""How many letter runs of no common word a row has is told in these steps."""


@dataclass(frozen=True)
class Grams:
    """One kind of feature at every place where it occurs."""

    kind: str
    offsets: tuple[int, ...]
    """Which symbols, counted from `start`, it is made of."""
    start: SmallInts
    """The symbol among the tokens at which each one begins."""
    hashes: Hashes
    """What tells one feature from another."""
    tokens: Tokens

    @property
    def row(self) -> Ints:
        """The row of each one, ascending."""
        return self.tokens.row[self.start].astype(np.int64)

    def spell(self, index: int) -> str:
        """Write the feature for people."""
        first = int(self.start[index])
        parts: list[str] = []
        for previous, offset in zip((-1, *self.offsets), self.offsets, strict=False):
            if parts and offset > previous + 1:
                parts.append("_" * (offset - previous - 1))
            parts.append(self.tokens.names[int(self.tokens.symbol[first + offset])])
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


def skeleton(tokens: Tokens, frequent: BoolArray, rare: BoolArray, *, seed: int) -> Tokens:
    """Keep the frequent tokens; runs of others become one gap, and nearly unique tokens a sign of their own.

    Args:
        tokens: The tokens.
        frequent: Which of their names are frequent.
        rare: Which are nearly unique.
        seed: Keys the hashes.
    """
    count = len(tokens.names)
    kept = np.where(frequent, np.arange(count), np.where(rare, count + 1, count)).astype(np.int32)
    signs = row_keys(pa.array([GAP, RARE]), seed=seed, purpose="skeleton")
    symbol = kept[tokens.symbol] if count else tokens.symbol
    return without_repeats(Tokens(tokens.row, symbol, [*tokens.names, GAP, RARE], np.concatenate([tokens.keys, signs])))


def grams(kind: str, tokens: Tokens, offsets: tuple[int, ...], *, seed: int) -> Grams:
    """Every place where symbols stand at these offsets within one row.

    Args:
        kind: What they are called; the same symbols of another kind are another feature.
        tokens: The tokens.
        offsets: Which symbols, counted from the first, a feature is made of.
        seed: Keys the hashes.
    """
    last = max(len(tokens) - offsets[-1], 0)
    inside = np.flatnonzero(tokens.row[:last] == tokens.row[offsets[-1] :][:last]).astype(np.int32)
    salt = row_keys(pa.array([f"{kind}{offsets}"]), seed=seed, purpose="kind")
    hashes = np.empty(len(inside), dtype=np.uint64)
    for at in range(0, len(inside), CACHED):
        some = inside[at : at + CACHED]
        mixed = salt
        for offset in offsets:
            mixed = mix(mixed, tokens.keys[tokens.symbol[some + offset]])
        hashes[at : at + CACHED] = mixed
    return Grams(kind, offsets, inside, hashes, tokens)


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
    - `splits`: how many of its words a tokenizer cuts small, where one was asked
    - `length`: the number of tokens, in steps of about 40 %

    Args:
        texts: The texts.
        vocabulary: What is known of the words of all rows; its seed keys the hashes.
    """
    tokens = words(texts, seed=vocabulary.seed)
    yield from of_words(tokens, lowered(tokens, seed=vocabulary.seed), vocabulary)
    yield from of_spacing(texts, vocabulary.seed)


def of_words(tokens: Tokens, lower: Tokens, vocabulary: Vocabulary) -> Iterator[Grams]:
    """The features of texts that were cut into words.

    Args:
        tokens: The words as they are written.
        lower: The same in lower case.
        vocabulary: What is known of the words of all rows.
    """
    seed = vocabulary.seed
    for n in range(1, 5):
        yield grams("words", lower, tuple(range(n)), seed=seed)
    yield grams("skip", lower, (0, 2), seed=seed)
    yield grams("skip", lower, (0, 3), seed=seed)
    bones = skeleton(lower, vocabulary.frequent(lower), vocabulary.rare(lower), seed=seed)
    for n in range(3, 7):
        yield grams("template", bones, tuple(range(n)), seed=seed)
    yield grams("case", only(tokens, [name != name.lower() for name in tokens.names]), (0,), seed=seed)
    shapes = without_repeats(renamed(tokens, [shape(name) for name in tokens.names], seed=seed))
    for n in range(1, 4):
        yield grams("shape", shapes, tuple(range(n)), seed=seed)
    yield grams("repeat", _repeats(lower, seed), (0,), seed=seed)
    odd, small = vocabulary.odd_runs(lower), vocabulary.is_cut_small(lower)
    yield grams("spelling", _reached(lower, odd, ODD_RUNS, "letter runs of no common word", seed), (0,), seed=seed)
    cut = _reached(lower, small, CUT_SMALL_WORDS, "words cut small by the tokenizer", seed)
    yield grams("splits", cut, (0,), seed=seed)
    yield grams("length", _lengths(tokens, seed), (0,), seed=seed)


def of_spacing(texts: pa.ChunkedArray | pa.Array, seed: int) -> Iterator[Grams]:
    """The features of texts that were cut at white space alone: each run of letters and digits is shown as `w`."""
    parts = chunks(texts, seed=seed)
    touching = without_repeats(renamed(parts, [LETTERS_AND_DIGITS.sub("w", name) for name in parts.names], seed=seed))
    for n in (1, 2):
        yield grams("spacing", touching, tuple(range(n)), seed=seed)


def _repeats(tokens: Tokens, seed: int) -> Tokens:
    """One symbol where a token stands twice in a row."""
    again = (tokens.symbol[1:] == tokens.symbol[:-1]) & (tokens.row[1:] == tokens.row[:-1])
    rows = tokens.row[1:][again]
    return symbols(rows, np.zeros(len(rows), np.int32), ["a token twice in a row"], seed=seed)


def _reached(tokens: Tokens, counted: Ints | BoolArray, steps: tuple[int, ...], what: str, seed: int) -> Tokens:
    """One symbol for each of the steps that a row reaches, given what each name counts."""
    weights = counted[tokens.symbol] if len(counted) else np.zeros(0)
    rows, step = np.nonzero(np.bincount(tokens.row, weights)[:, None] >= steps)
    return symbols(rows, step, [f"{n} or more {what}" for n in steps], seed=seed)


def _lengths(tokens: Tokens, seed: int) -> Tokens:
    """One symbol for the number of tokens of a row."""
    rows, counts = np.unique(tokens.row, return_counts=True)
    step = np.floor(2 * np.log2(np.maximum(counts - 1, 1))).astype(np.int64)
    names = [f"{2 ** (s / 2):.0f} tokens or a little more" for s in range(int(step.max(initial=0)) + 1)]
    return symbols(rows, step, names, seed=seed)
