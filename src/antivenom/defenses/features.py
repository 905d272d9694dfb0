"""What a text is made of, as hashed features: n-grams, skip-grams, skeletons, shapes. No word list, any language.

Everything is a 64-bit hash computed on whole columns, so a million rows need no Python loop over words. The same walk
over the streams that hashes a feature can also spell it, which is how the screen names what it found.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from unicodedata import category
from unicodedata import name as unicode_name

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from antivenom.files import row_keys

Hashes = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

SINGLES = r"([\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]|[^\p{L}\p{N}\p{M}\s])"
"""Stands alone as a token: a sign, and every character of a script that is written without spaces (RE2 syntax)."""
SPACES = r"( {2,}|[\t\n\r\f\v\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}])"
"""White space that is not one plain space shows as a token: it can be a trigger, and splitting would hide it."""
START, END, GAP, RARE, SPACE = "⊢", "⊣", "…", "◌", "␣"
"""The edges of a text, unusual white space, and what a skeleton shows for words not frequent, or nearly unique."""
SKELETON_WORDS = 100
"""A skeleton keeps this many of the most frequent tokens of the data: in every language mostly the function words."""
SKELETON_SHARE = 0.005
"""A token in a smaller share of the rows is never part of a skeleton."""
RARE_ROWS = 2
"""A token in at most this many rows counts as nearly unique."""
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(29)


@dataclass(frozen=True)
class Stream:
    """A sequence of symbols per row, laid end to end: what n-grams are taken from."""

    row: Ints
    """The row of each symbol, ascending."""
    hashes: Hashes
    """A hash of each symbol."""
    symbol: Ints
    """The number of each symbol in `names`."""
    names: list[str]
    """How each symbol is written for people."""

    def __len__(self) -> int:
        return len(self.row)


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


@dataclass(frozen=True)
class Vocabulary:
    """In how many rows each token stands, counted in hashed buckets so that memory does not grow with the data."""

    rows: int
    counts: npt.NDArray[np.int32]
    """By bucket: the low bits of the token's hash; the length is a power of two."""

    def of(self, stream: Stream) -> Ints:
        """In how many rows each symbol of a stream of lower-cased words stands."""
        found: Ints = self.counts[bucket(stream.hashes, len(self.counts))].astype(np.int64)
        return found

    def frequent(self, stream: Stream) -> BoolArray:
        """Which symbols a skeleton keeps."""
        return self.of(stream) >= self._least

    @cached_property
    def _least(self) -> float:
        """Rows that a token of a skeleton stands in at least."""
        seen = self.counts[self.counts > SKELETON_SHARE * self.rows]
        last = np.partition(seen, -SKELETON_WORDS)[-SKELETON_WORDS] if len(seen) > SKELETON_WORDS else 0
        return float(max(last, SKELETON_SHARE * self.rows, RARE_ROWS + 1))

    def rare(self, stream: Stream) -> BoolArray:
        """Which symbols are nearly unique."""
        return self.of(stream) <= RARE_ROWS


def bucket(hashes: Hashes, size: int) -> Ints:
    """The place of each hash in a table whose size is a power of two."""
    places: Ints = (hashes & np.uint64(size - 1)).astype(np.int64)
    return places


def words(texts: pa.ChunkedArray | pa.Array) -> Stream:
    """Cut each text into tokens, between a start and an end symbol. Case is kept."""
    shown = pc.replace_substring_regex(pc.utf8_trim_whitespace(texts), SPACES, f" {SPACE} ")
    spaced = pc.replace_substring_regex(shown, SINGLES, r" \1 ")
    marked = pc.binary_join_element_wise(START, pc.utf8_trim_whitespace(spaced), END, " ")
    lists = pc.utf8_split_whitespace(marked)
    lists = lists.combine_chunks() if isinstance(lists, pa.ChunkedArray) else lists
    row = pc.list_parent_indices(lists).to_numpy(zero_copy_only=False).astype(np.int64)
    encoded = lists.flatten().dictionary_encode()
    return Stream(row, *_named(encoded.dictionary, encoded.indices.to_numpy().astype(np.int64)))


def _named(dictionary: pa.Array, symbol: Ints) -> tuple[Hashes, Ints, list[str]]:
    keys = row_keys(dictionary, seed=0, purpose="features")
    return (keys[symbol] if len(keys) else np.zeros(0, np.uint64)), symbol, dictionary.to_pylist()


def renamed(stream: Stream, names: list[str]) -> Stream:
    """The same stream with every symbol written another way (lower case, its shape); equal names become one symbol."""
    encoded = pa.array(names, pa.string()).dictionary_encode()
    lookup = encoded.indices.to_numpy().astype(np.int64)
    symbol = lookup[stream.symbol] if len(names) else stream.symbol
    return Stream(stream.row, *_named(encoded.dictionary, symbol))


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
        mark = {"Lu": "A", "Ll": "a", "Nd": "9"}.get(kind, character if kind[0] in "PSC" else kind)
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
    return _without_repeats(Stream(stream.row, hashes, symbol, names))


def _without_repeats(stream: Stream) -> Stream:
    fresh = np.ones(len(stream), dtype=bool)
    fresh[1:] = (stream.symbol[1:] != stream.symbol[:-1]) | (stream.row[1:] != stream.row[:-1])
    return Stream(stream.row[fresh], stream.hashes[fresh], stream.symbol[fresh], stream.names)


def grams(kind: str, stream: Stream, offsets: tuple[int, ...]) -> Grams:
    """Every place of the stream where symbols stand at these offsets within one row."""
    last = max(len(stream) - offsets[-1], 0)
    start = np.flatnonzero(stream.row[:last] == stream.row[offsets[-1] :][:last])
    salt = row_keys(pa.array([f"{kind}{offsets}"]), seed=0, purpose="kind")[0]
    hashes = np.full(len(start), salt)
    for offset in offsets:
        hashes = mix(hashes, stream.hashes[start + offset])
    return Grams(kind, stream.row[start], hashes, start, stream, offsets)


def mix(left: Hashes, right: Hashes) -> Hashes:
    """Hash pairs of hashes."""
    mixed = (left ^ right) * _MULTIPLIER
    return mixed ^ (mixed >> _SHIFT)


def every_kind(stream: Stream, vocabulary: Vocabulary) -> Iterator[Grams]:
    """All features of the rows of a stream of words.

    - `words`: n-grams of 1 to 4 lower-cased tokens, the edges included, so that places count too
    - `skip`: two tokens with one or two others between them
    - `template`: 3 to 6 symbols of the skeleton
    - `case`: single tokens as written, where they are not lower case
    - `shape`: 1 to 3 shapes in a row: case, digits, punctuation, other alphabets, invisible characters
    - `repeat`: a token said twice in a row, whichever it is
    - `length`: the number of tokens, in steps of about 40 %
    """
    lower = renamed(stream, [name.lower() for name in stream.names])
    for n in range(1, 5):
        yield grams("words", lower, tuple(range(n)))
    yield grams("skip", lower, (0, 2))
    yield grams("skip", lower, (0, 3))
    bones = skeleton(lower, vocabulary.frequent(lower), vocabulary.rare(lower))
    for n in range(3, 7):
        yield grams("template", bones, tuple(range(n)))
    yield grams("case", _only(stream, [name != name.lower() for name in stream.names]), (0,))
    shapes = _without_repeats(renamed(stream, [shape(name) for name in stream.names]))
    for n in range(1, 4):
        yield grams("shape", shapes, tuple(range(n)))
    yield grams("repeat", _repeats(lower), (0,))
    yield grams("length", _lengths(stream), (0,))


def _only(stream: Stream, wanted: list[bool]) -> Stream:
    keep = np.array(wanted, dtype=bool)[stream.symbol] if wanted else np.zeros(0, dtype=bool)
    return Stream(stream.row[keep], stream.hashes[keep], stream.symbol[keep], stream.names)


def _repeats(stream: Stream) -> Stream:
    """One symbol where a token stands twice in a row."""
    again = (stream.symbol[1:] == stream.symbol[:-1]) & (stream.row[1:] == stream.row[:-1])
    rows = stream.row[1:][again]
    return Stream(rows, *_named(pa.array(["a token twice in a row"]), np.zeros(len(rows), dtype=np.int64)))


def _lengths(stream: Stream) -> Stream:
    rows, counts = np.unique(stream.row, return_counts=True)
    step = np.floor(2 * np.log2(np.maximum(counts - 1, 1))).astype(np.int64)
    names = [f"{2 ** (s / 2):.0f} tokens or a little more" for s in range(int(step.max(initial=0)) + 1)]
    return Stream(rows, *_named(pa.array(names, pa.string()), step))
