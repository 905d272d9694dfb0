"""Texts as sequences of tokens, column by column: what features are counted on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from antivenom.core.arrays import Hashes, Ints
from antivenom.core.hashing import row_keys
from antivenom.core.threads import in_threads

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
PIECE_BYTES = 2_000_000
"""Texts are cut into tokens in pieces of about this size, which bounds what is in memory at once."""
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(29)

SmallInts = npt.NDArray[np.int32]
Texts: TypeAlias = "pa.ChunkedArray | pa.Array"


@dataclass(frozen=True)
class Tokens:
    """A sequence of symbols per row, laid end to end: what n-grams are taken from."""

    row: SmallInts
    """The row of each symbol, ascending."""
    symbol: SmallInts
    """The number of each symbol in `names`."""
    names: list[str]
    """How each symbol is written for people."""
    keys: Hashes
    """A hash of each name, keyed by the seed: equal names have equal hashes in all texts."""

    def __len__(self) -> int:
        return len(self.row)


def words(texts: Texts, *, seed: int) -> Tokens:
    """Cut each text into tokens, between a start and an end symbol. Case is kept.

    Args:
        texts: The texts.
        seed: Keys the hashes of the symbols.
    """
    return _split(texts, lambda piece: _cut(_spaced(piece)), seed)


def chunks(texts: Texts, *, seed: int) -> Tokens:
    """What stands between white space, whatever it is made of: here "film." and "film ." differ.

    Args:
        texts: The texts.
        seed: Keys the hashes of the symbols.
    """
    return _split(texts, _cut, seed)


def pieces(texts: Texts) -> Iterator[tuple[int, Texts]]:
    """Cut a column into pieces of about `PIECE_BYTES`, each with the number of its first row."""
    ends = np.cumsum(pc.binary_length(texts).to_numpy().astype(np.int64) + 1) // PIECE_BYTES
    cuts = np.flatnonzero(np.diff(ends)) + 1
    for first, last in zip([0, *cuts], [*cuts, len(texts)], strict=True):
        if last > first:
            yield int(first), texts.slice(int(first), int(last - first))


def _spaced(texts: Texts) -> Texts:
    """With spaces around whatever stands alone."""
    shown = pc.replace_substring_regex(texts, SPACES, f" {SPACE} ")
    return pc.replace_substring_regex(shown, SINGLES, r" \1 ")


def _cut(texts: Texts) -> tuple[SmallInts, pa.Array]:
    """Cut texts at white space, between a start and an end symbol: how many symbols each has, and these."""
    marked = pc.binary_join_element_wise(START, pc.utf8_trim_whitespace(texts), END, " ")
    lists = pc.utf8_split_whitespace(marked)
    lists = lists.combine_chunks() if isinstance(lists, pa.ChunkedArray) else lists
    return pc.list_value_length(lists).to_numpy().astype(np.int32), lists.flatten().dictionary_encode()


def _split(
    texts: Texts,
    cut: Callable[[pa.ChunkedArray | pa.Array], tuple[SmallInts, pa.Array]],
    seed: int,
) -> Tokens:
    """Put together what is cut of each piece of a column."""
    counts, parts = [np.zeros(0, dtype=np.int32)], [pa.array([], pa.string()).dictionary_encode()]
    for sizes, part in in_threads(cut, (piece for _, piece in pieces(texts))):
        counts.append(sizes)
        parts.append(part)
    unified = pa.chunked_array(parts).unify_dictionaries()
    dictionary = unified.chunk(0).dictionary
    symbol = np.concatenate([part.indices.to_numpy() for part in unified.chunks])
    total = np.concatenate(counts)
    row = np.repeat(np.arange(len(total), dtype=np.int32), total)
    return Tokens(row, symbol, dictionary.to_pylist(), keys_of(dictionary, seed))


def keys_of(names: pa.Array, seed: int) -> Hashes:
    """The hash of each symbol, given how it is written."""
    return row_keys(names, seed=seed, purpose="features")


def symbols(row: Ints | SmallInts, symbol: Ints | SmallInts, names: list[str], *, seed: int) -> Tokens:
    """Tokens of which it is known how each symbol is written."""
    return Tokens(row.astype(np.int32), symbol.astype(np.int32), names, keys_of(pa.array(names, pa.string()), seed))


def renamed(tokens: Tokens, names: list[str], *, seed: int) -> Tokens:
    """The same with every symbol written another way (lower case, its shape); equal names become one symbol.

    Args:
        tokens: The tokens.
        names: The new name of each symbol.
        seed: Keys the hashes of the symbols.
    """
    encoded = pa.array(names, pa.string()).dictionary_encode()
    lookup = encoded.indices.to_numpy().astype(np.int32)
    symbol = lookup[tokens.symbol] if len(names) else tokens.symbol
    return Tokens(tokens.row, symbol, encoded.dictionary.to_pylist(), keys_of(encoded.dictionary, seed))


def lowered(tokens: Tokens, *, seed: int) -> Tokens:
    """The same in lower case."""
    return renamed(tokens, [name.lower() for name in tokens.names], seed=seed)


def only(tokens: Tokens, wanted: list[bool]) -> Tokens:
    """The symbols that are wanted, told for each name."""
    keep = np.array(wanted, dtype=bool)[tokens.symbol] if wanted else np.zeros(0, dtype=bool)
    return Tokens(tokens.row[keep], tokens.symbol[keep], tokens.names, tokens.keys)


def without_repeats(tokens: Tokens) -> Tokens:
    """The same symbol several times in a row becomes one."""
    fresh = np.ones(len(tokens), dtype=bool)
    fresh[1:] = (tokens.symbol[1:] != tokens.symbol[:-1]) | (tokens.row[1:] != tokens.row[:-1])
    return Tokens(tokens.row[fresh], tokens.symbol[fresh], tokens.names, tokens.keys)


def mix(left: Hashes, right: Hashes) -> Hashes:
    """Hash pairs of hashes."""
    mixed = left ^ right
    mixed *= _MULTIPLIER
    mixed ^= mixed >> _SHIFT
    return mixed
