"""Which rows each feature stands in: hashes sorted together with their places, several times faster than `argsort`."""

from __future__ import annotations

import numpy as np

from antivenom.core.arrays import Hashes, Ints
from antivenom.screening.tokens import SmallInts

LEAST_ROWS = 2
"""A feature of fewer rows is left out: without the row that asks, nothing is known of it."""


def rows_of_each(hashes: Hashes, row: SmallInts) -> tuple[Hashes, SmallInts, SmallInts]:
    """The rows that each feature stands in, for features of at least `LEAST_ROWS` rows.

    Args:
        hashes: The feature at each place.
        row: The row of each place, ascending.

    Returns:
        The features, ascending; how many rows each has; the rows of the first one, of the second one, and so on.
    """
    order = _by_hash(hashes)
    hashes, row = hashes[order], row[order]
    begins = np.ones(len(hashes), dtype=bool)
    begins[1:] = hashes[1:] != hashes[:-1]
    fresh = begins.copy()
    fresh[1:] |= row[1:] != row[:-1]
    row, first = row[fresh], np.flatnonzero(begins[fresh])
    counts = np.diff(np.append(first, len(row)))
    keep = counts >= LEAST_ROWS
    return hashes[begins][keep], counts[keep].astype(np.int32), row[np.repeat(keep, counts)]


def _by_hash(hashes: Hashes) -> Ints:
    """The order of hashes, those of equal ones as they stand.

    Hash and place are sorted as one number, several times faster than `argsort`: the upper bits of the hash, and behind
    them the place. Different hashes with the same upper bits are put right afterwards.
    """
    bits = np.uint64(max(len(hashes) - 1, 1).bit_length())
    packed = np.sort((hashes >> bits << bits) | np.arange(len(hashes), dtype=np.uint64))
    order = (packed & ((np.uint64(1) << bits) - np.uint64(1))).astype(np.int64)
    packed >>= bits
    found = hashes[order]
    mixed = np.flatnonzero((packed[1:] == packed[:-1]) & (found[1:] != found[:-1]))
    if len(mixed):
        again = np.isin(packed, packed[mixed])
        some = order[again]
        order[again] = some[np.argsort(hashes[some], kind="stable")]
    return order
