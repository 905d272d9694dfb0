"""From the rows that each feature stands in to the features of each row, and from features to columns."""

from __future__ import annotations

import numpy as np

from antivenom.core.arrays import Ints
from antivenom.core.threads import in_threads
from antivenom.screening.grouping import places_of, row_ranges
from antivenom.screening.outputs import RowOutputs
from antivenom.screening.tokens import SmallInts

GATHERED = 100_000
"""So many entries are looked up at once where the table is built."""


def side_by_side(rows: SmallInts | Ints, numbers: SmallInts) -> SmallInts:
    """The numbers of each row, ascending; rows and numbers are sorted as one number, faster than by two keys."""
    packed = rows.astype(np.int64)
    packed <<= 32
    packed |= numbers
    packed.sort()
    return packed.astype(np.int32)  # the last bits


def row_by_row(entries: list[tuple[SmallInts, SmallInts, int]], rows: int) -> tuple[Ints, SmallInts]:
    """Lay the features of each row side by side, kind by kind.

    Args:
        entries: Of each kind where those of each row begin, the features, and the number of the first one.
        rows: How many rows there are.

    Returns:
        Where the features of each row begin, and the features.
    """
    starts = np.zeros(rows + 1, dtype=np.int64)
    for ends, _, _ in entries:
        starts += ends
    numbers = np.empty(int(starts[-1]), dtype=np.int32)

    def lay(some: tuple[int, int]) -> None:
        parts, of_rows = [np.zeros(0, np.int32)], [np.zeros(0, np.int64)]
        for ends, features, first in entries:
            here = ends[some[0] : some[1] + 1]
            of_rows.append(np.repeat(np.arange(len(here) - 1), np.diff(here)))
            parts.append(features[here[0] : here[-1]] + np.int32(first))
        numbers[starts[some[0]] : starts[some[1]]] = side_by_side(np.concatenate(of_rows), np.concatenate(parts))

    for _ in in_threads(lay, row_ranges(starts, GATHERED)):
        pass
    return starts, numbers


def with_outputs(
    starts: Ints, numbers: SmallInts, rows_with: SmallInts, outputs: RowOutputs
) -> tuple[Ints, SmallInts, SmallInts, SmallInts, SmallInts, SmallInts]:
    """Make columns of features and outputs: the first fields of a `FeatureTable`.

    Where each row has one output, its entries stay where they are.
    """
    ends, rows_of = outputs.rows_of_each()
    sizes = np.diff(starts)
    counts = sizes * outputs.count_of_each()
    fresh = starts if outputs.labels else np.concatenate([[0], np.cumsum(counts)])
    columns = numbers if outputs.labels else np.empty(int(fresh[-1]), dtype=np.int32)
    free, there = fresh[:-1].copy(), np.zeros(len(rows_with), dtype=bool)
    lookup, first = np.zeros(len(rows_with), dtype=np.int32), 0
    feature, output, both = ([np.zeros(0, dtype=np.int32)] for _ in range(3))
    for code in range(len(ends) - 1):
        rows = rows_of[ends[code] : ends[code + 1]]
        parts = np.array_split(rows, 1 + int(sizes[rows].sum()) // GATHERED)
        for some in parts:
            there[numbers[places_of(starts[some], sizes[some])]] = True
        present = np.flatnonzero(there).astype(np.int32)
        lookup[present] = np.arange(len(present), dtype=np.int32)
        of_both = np.zeros(len(present), dtype=np.int32)
        for some in parts:
            local = lookup[numbers[places_of(starts[some], sizes[some])]]
            np.add.at(of_both, local, np.int32(1))
            local += np.int32(first)
            columns[places_of(free[some], sizes[some])] = local
        if not outputs.labels:
            free[rows] += sizes[rows]
        there[present] = False
        feature.append(present)
        output.append(np.full(len(present), code, dtype=np.int32))
        both.append(of_both)
        first += len(present)
    features = np.concatenate(feature)
    return fresh, columns, features, np.concatenate(output), rows_with[features], np.concatenate(both)
