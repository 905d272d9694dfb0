"""Which rows each feature stands in: a hash and its row are sorted as one number."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from antivenom.core.arrays import BoolArray, Hashes, Ints
from antivenom.screening.tokens import SmallInts

LEAST_ROWS = 2
"""A feature of fewer rows is left out: without the row that asks, nothing is known of it."""


def bits_of(rows: int) -> np.uint64:
    """How many bits of a number hold a row; the others hold what is told of a hash, 44 of 64 over a million rows.

    So many bits tell as many features apart: of a million, one in ten million is taken for another.
    """
    return np.uint64(max(rows - 1, 1).bit_length())


def rows_of_each(
    hashes: Hashes, row: SmallInts, rows: int, least: int = LEAST_ROWS
) -> tuple[Hashes, SmallInts, SmallInts]:
    """The rows that each feature stands in, for features of at least so many rows.

    Args:
        hashes: The feature at each place.
        row: The row of each place.
        rows: How many rows there are.
        least: In how many of them a feature stands at least.

    Returns:
        The features, ascending, without their last `bits_of` the rows; how many rows each has; the rows of the first
        one, of the second one, and so on.
    """
    bits = bits_of(rows)
    packed = hashes >> bits
    packed <<= bits
    packed |= row.astype(np.uint64)
    packed.sort()
    packed = packed[_begins(packed)]
    found = (packed & ((np.uint64(1) << bits) - np.uint64(1))).astype(np.int32)
    packed >>= bits
    first = np.flatnonzero(_begins(packed))
    counts: Ints = np.diff(np.append(first, len(packed)))
    keep = counts >= least
    return packed[first[keep]], counts[keep].astype(np.int32), found[np.repeat(keep, counts)]


def _begins(ascending: Hashes) -> BoolArray:
    """Where another number begins."""
    found = np.ones(len(ascending), dtype=bool)
    np.not_equal(ascending[1:], ascending[:-1], out=found[1:])
    return found


def row_ranges(starts: SmallInts | Ints, size: int) -> Iterator[tuple[int, int]]:
    """The first and the one behind the last of rows that have about so many entries together."""
    cuts = (np.flatnonzero(np.diff(starts[1:] // size)) + 1).tolist()
    yield from zip([0, *cuts], [*cuts, len(starts) - 1], strict=True)


def places_of(first: Ints, counts: Ints) -> Ints:
    """The places first, first + 1, ... of each row, so many as it has."""
    ends = np.cumsum(counts)
    return np.repeat(first - (ends - counts), counts) + np.arange(int(ends[-1]) if len(ends) else 0)
