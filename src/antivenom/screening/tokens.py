"""Texts as sequences of symbols, hashed column by column: what features are counted on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from antivenom.core.arrays import Hashes, Ints
from antivenom.core.hashing import row_keys

SINGLES = r"([\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]|[^\p{L}\p{N}\p{M}\s])"
"""Stands alone as a token: a sign, and every character of a script that is written without spaces (RE2 syntax)."""
SPACES = (
    r"( {2,}|^ | $|"
    r"[\t\n\r\f\v\x{1c}-\x{1f}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}])"
)
"""White space that is not one plain space between words shows as a token: it can be a trigger, and splitting would hide
it."""
START, END, SPACE = "⊢", "⊣", "␣"
"""The edges of a text, and unusual white space."""
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


def words(texts: pa.ChunkedArray | pa.Array) -> Stream:
    """Cut each text into tokens, between a start and an end symbol. Case is kept."""
    shown = pc.replace_substring_regex(texts, SPACES, f" {SPACE} ")
    spaced = pc.replace_substring_regex(shown, SINGLES, r" \1 ")
    return _split(spaced)


def chunks(texts: pa.ChunkedArray | pa.Array) -> Stream:
    """What stands between white space, whatever it is made of: here "film." and "film ." differ."""
    return _split(texts)


def _split(texts: pa.ChunkedArray | pa.Array) -> Stream:
    """Cut texts at white space, between a start and an end symbol."""
    marked = pc.binary_join_element_wise(START, pc.utf8_trim_whitespace(texts), END, " ")
    lists = pc.utf8_split_whitespace(marked)
    lists = lists.combine_chunks() if isinstance(lists, pa.ChunkedArray) else lists
    row = pc.list_parent_indices(lists).to_numpy(zero_copy_only=False).astype(np.int64)
    encoded = lists.flatten().dictionary_encode()
    return Stream(row, *named(encoded.dictionary, encoded.indices.to_numpy().astype(np.int64)))


def named(dictionary: pa.Array, symbol: Ints) -> tuple[Hashes, Ints, list[str]]:
    """The last three fields of a `Stream`, given how its symbols are written."""
    keys = row_keys(dictionary, seed=0, purpose="features")
    return (keys[symbol] if len(keys) else np.zeros(0, np.uint64)), symbol, dictionary.to_pylist()


def renamed(stream: Stream, names: list[str]) -> Stream:
    """The same stream with every symbol written another way (lower case, its shape); equal names become one symbol."""
    encoded = pa.array(names, pa.string()).dictionary_encode()
    lookup = encoded.indices.to_numpy().astype(np.int64)
    symbol = lookup[stream.symbol] if len(names) else stream.symbol
    return Stream(stream.row, *named(encoded.dictionary, symbol))


def only(stream: Stream, wanted: list[bool]) -> Stream:
    """The symbols that are wanted, told for each name."""
    keep = np.array(wanted, dtype=bool)[stream.symbol] if wanted else np.zeros(0, dtype=bool)
    return Stream(stream.row[keep], stream.hashes[keep], stream.symbol[keep], stream.names)


def without_repeats(stream: Stream) -> Stream:
    """The same symbol several times in a row becomes one."""
    fresh = np.ones(len(stream), dtype=bool)
    fresh[1:] = (stream.symbol[1:] != stream.symbol[:-1]) | (stream.row[1:] != stream.row[:-1])
    return Stream(stream.row[fresh], stream.hashes[fresh], stream.symbol[fresh], stream.names)


def mix(left: Hashes, right: Hashes) -> Hashes:
    """Hash pairs of hashes."""
    mixed = (left ^ right) * _MULTIPLIER
    return mixed ^ (mixed >> _SHIFT)
