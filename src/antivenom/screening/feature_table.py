"""Which features every row has: one sparse matrix, built once and read by everything that counts features.

A *column* stands for a feature together with an output (a label, or a part of free answers), and every feature that
was seen in two rows has columns of its own: nothing shares a place with anything else, so no choice of words hides
behind another, over however many labels. A feature of one row says nothing about any other row and is left out. Which
number a feature gets is keyed by the secret seed, and depends on no order of the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from antivenom.core.arrays import BoolArray, Hashes, Ints
from antivenom.core.threads import in_threads
from antivenom.screening.features import Grams
from antivenom.screening.grouping import LEAST_ROWS, bits_of, places_of, row_ranges, rows_of_each
from antivenom.screening.laying import GATHERED, row_by_row, side_by_side, with_outputs
from antivenom.screening.outputs import RowOutputs
from antivenom.screening.tokens import SmallInts

BLOCK = 100_000
"""So many entries are worked on at once: few enough that what is computed of them stays in the processor's cache."""

Kind = tuple[str, tuple[int, ...]]
"""What features are called, and which symbols, counted from the first, they are made of."""
Number = TypeVar("Number", np.float64, np.int64, np.int32, np.bool_)


@dataclass(frozen=True)
class Features:
    """The features of one kind that are in the table."""

    own: SmallInts
    """The number of each."""
    hashes: Hashes
    """Ascending, without their last bits."""
    bits: np.uint64
    """How many bits that are."""

    def numbers(self, hashes: Hashes) -> Ints:
        """The number of each feature, -1 of one that is not in the table."""
        return self.numbers_of(hashes >> self.bits)

    def numbers_of(self, told: Hashes) -> Ints:
        """The same, given what is told of each hash: all but its last bits."""
        if not len(self.hashes):
            return np.full(len(told), -1)
        place = np.minimum(np.searchsorted(self.hashes, told), len(self.hashes) - 1)
        return np.where(self.hashes[place] == told, self.own[place], -1)


@dataclass(frozen=True)
class Block:
    """Some rows and their entries."""

    first: int
    """The first row."""
    counts: Ints
    """How many entries each row has."""
    columns: SmallInts
    """The entries, row by row."""

    @property
    def rows(self) -> slice:
        """Which rows these are."""
        return slice(self.first, self.first + len(self.counts))

    def each_row(self) -> Ints:
        """The row of each entry, ascending."""
        return self.spread(np.arange(self.rows.start, self.rows.stop))

    def where(self, wanted: BoolArray) -> Block:
        """The same rows with some of their entries."""
        found, ends = np.flatnonzero(wanted), np.cumsum(self.counts)
        counts = np.diff(np.searchsorted(found, np.append(0, ends)))
        return Block(self.first, counts, self.columns[found])

    def spread(self, values: npt.NDArray[Number]) -> npt.NDArray[Number]:
        """What is known of each row, repeated for each of its entries."""
        return np.repeat(values, self.counts)

    def largest(self, values: npt.NDArray[Number], nothing: int) -> npt.NDArray[Number]:
        """The largest value of each row's entries, `nothing` of a row without any."""
        found = np.full(len(self.counts), nothing, dtype=values.dtype)
        filled = np.flatnonzero(self.counts)
        if len(filled):
            starts = np.cumsum(self.counts) - self.counts
            found[filled] = np.maximum.reduceat(values, starts[filled])
        return found


@dataclass(frozen=True)
class FeatureTable:
    """The matrix, row by row, and what each column is."""

    starts: Ints
    """Where the entries of each row begin; one more than there are rows."""
    columns: SmallInts
    """The column of each entry; of one row ascending, each once."""
    feature: SmallInts
    """The number of each column's feature."""
    output: SmallInts
    """The number of each column's output; columns stand in order of output, then feature."""
    rows_with: SmallInts
    """In how many rows the feature of each column stands, whatever their output."""
    rows_of_both: SmallInts
    """How many of these have the output of the column."""
    kinds: dict[Kind, Features]

    @classmethod
    def of(cls, features: Iterable[Grams], rows: int, outputs: RowOutputs, *, whole: int = 0) -> FeatureTable:
        """Count.

        Args:
            features: All features of the texts, kind by kind.
            rows: How many texts there are.
            outputs: What the rows' answers are made of.
            whole: How many there are altogether, where these are some of them: a feature of one row counts then, since
                others may have it.
        """
        least, whole = (1, whole) if whole else (LEAST_ROWS, rows)
        kinds: dict[Kind, Features] = {}
        known, entries, first = [np.zeros(0, np.int32)], [], 0

        def count(grams: Grams) -> tuple[Kind, Hashes, SmallInts, Ints, SmallInts]:
            hashes, counts, of_rows = rows_of_each(grams.hashes, grams.tokens.row[grams.start], whole, least)
            of_each = side_by_side(of_rows, np.repeat(np.arange(len(counts), dtype=np.int32), counts))
            return (grams.kind, grams.offsets), hashes, counts, np.bincount(of_rows, minlength=rows), of_each

        for kind, hashes, rows_with, sizes, of_each in in_threads(count, features):
            kinds[kind] = Features(np.arange(first, first + len(hashes), dtype=np.int32), hashes, bits_of(whole))
            known.append(rows_with)
            entries.append((np.append(0, np.cumsum(sizes)).astype(np.int32), of_each, first))
            first += len(hashes)
        rows_with = np.concatenate(known)
        starts, numbers = row_by_row(entries, rows)
        return cls(*with_outputs(starts, numbers, rows_with, outputs), kinds)

    def __len__(self) -> int:
        return len(self.feature)

    def blocks(self) -> Iterator[Block]:
        """The rows in blocks of about `BLOCK` entries, in order."""
        for first, last in row_ranges(self.starts, BLOCK):
            some = self.columns[self.starts[first] : self.starts[last]]
            yield Block(first, np.diff(self.starts[first : last + 1]), some)

    def each_block(self, work: Callable[[Block], None]) -> None:
        """Do something with every block, on all processors; the blocks may come in any order."""
        for _ in in_threads(work, self.blocks()):
            pass

    def numbers_of(self, grams: Grams) -> Ints:
        """The number of each feature of some texts; -1 of one that is not in the table."""
        return self.kinds[grams.kind, grams.offsets].numbers(grams.hashes)

    def columns_at(self, numbers: Ints, outputs: Ints) -> Ints:
        """The column of each feature together with an output; -1 where there is none.

        Args:
            numbers: The features; -1 of one that is not in the table.
            outputs: The output that each one is asked with.
        """
        found = np.full(len(numbers), -1)
        ends = np.searchsorted(self.output, np.arange(int(outputs.max(initial=0)) + 2))
        for output in np.unique(outputs):
            features = self.feature[ends[output] : ends[output + 1]]
            asked = np.flatnonzero((outputs == output) & (numbers >= 0))
            if len(features) and len(asked):
                place = np.minimum(np.searchsorted(features, numbers[asked]), len(features) - 1)
                found[asked] = np.where(features[place] == numbers[asked], ends[output] + place, -1)
        return found

    def count(self, rows: BoolArray) -> SmallInts:
        """In how many of some rows each column stands."""
        found, some, sizes = np.zeros(len(self), dtype=np.int32), np.flatnonzero(rows), np.diff(self.starts)
        for part in np.array_split(some, 1 + int(sizes[some].sum()) // GATHERED):
            np.add.at(found, self.columns[places_of(self.starts[part], sizes[part])], np.int32(1))
        return found

    def having(self, wanted: Ints) -> csr_array:
        """Which rows have each of some columns: shape (columns, rows), 1 where they have it.

        Args:
            wanted: The columns, each once.
        """
        place = np.full(len(self), -1, dtype=np.int32)
        place[wanted] = np.arange(len(wanted), dtype=np.int32)
        rows, found = [np.zeros(0, np.int64)], [np.zeros(0, np.int32)]
        for block in self.blocks():
            at = place[block.columns]
            is_wanted = at >= 0
            rows.append(block.each_row()[is_wanted])
            found.append(at[is_wanted])
        where = np.concatenate(found), np.concatenate(rows)
        ones = np.ones(len(where[0]), dtype=np.int32)
        return csr_array((ones, where), shape=(len(wanted), len(self.starts) - 1))


def sum_by_column(table: FeatureTable, values: npt.NDArray[Number]) -> npt.NDArray[Number]:
    """For each column the sum, over its rows, of whole numbers.

    Args:
        table: The columns.
        values: One number a row.
    """
    total = np.zeros(len(table), dtype=values.dtype)
    for block in table.blocks():
        some = values[block.rows]
        np.add.at(total, block.columns, block.spread(some))
    return total
