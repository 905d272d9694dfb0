"""Columns of feature tables by what they stand for, so that those of different tables can be told to be the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from antivenom.core.arrays import BoolArray, Hashes, Ints
from antivenom.screening.feature_table import Features, FeatureTable, Kind
from antivenom.screening.grouping import bits_of
from antivenom.screening.tokens import SmallInts


@dataclass(frozen=True)
class Columns:
    """Features together with outputs."""

    kind: SmallInts
    """The number of each feature's kind, in the order of `FeatureTable.kinds`."""
    hashes: Hashes
    """Without their last bits."""
    output: SmallInts

    @classmethod
    def of(cls, table: FeatureTable) -> Columns:
        """Those of a table."""
        every = table.kinds.values()
        kind = np.repeat(np.arange(len(every), dtype=np.int32), [len(features.hashes) for features in every])
        hashes = np.concatenate([features.hashes for features in every])
        return cls(kind[table.feature], hashes[table.feature], table.output)

    def __len__(self) -> int:
        return len(self.kind)

    def only(self, wanted: BoolArray | Ints) -> Columns:
        """Some of them."""
        return Columns(self.kind[wanted], self.hashes[wanted], self.output[wanted])

    def places_in(self, table: FeatureTable) -> tuple[Ints, Ints]:
        """The number of each feature in a table, and its column there; -1 where there is none."""
        numbers = np.full(len(self), -1)
        for kind, features in enumerate(table.kinds.values()):
            of_kind = self.kind == kind
            numbers[of_kind] = features.numbers_of(self.hashes[of_kind])
        return numbers, table.columns_at(numbers, self.output.astype(np.int64))

    def as_table(self, kinds: Sequence[Kind], rows: int, rows_with: Ints, rows_of_both: Ints) -> FeatureTable:
        """A table of these columns, which are sorted, with the numbers of all rows and the entries of none.

        Args:
            kinds: All kinds of features.
            rows: How many rows there are.
            rows_with: See `FeatureTable`.
            rows_of_both: See `FeatureTable`.
        """
        order = np.lexsort((self.hashes, self.kind))
        kind, hashes = self.kind[order], self.hashes[order]
        fresh = np.ones(len(order), dtype=bool)
        fresh[1:] = (kind[1:] != kind[:-1]) | (hashes[1:] != hashes[:-1])
        feature = np.empty(len(order), dtype=np.int32)
        feature[order] = np.cumsum(fresh) - 1
        kind, hashes = kind[fresh], hashes[fresh]
        own = {name: np.flatnonzero(kind == number).astype(np.int32) for number, name in enumerate(kinds)}
        found = {name: Features(places, hashes[places], bits_of(rows)) for name, places in own.items()}
        counts = rows_with.astype(np.int32), rows_of_both.astype(np.int32)
        return FeatureTable(np.zeros(1, np.int64), np.zeros(0, np.int32), feature, self.output, *counts, found)


@dataclass(frozen=True)
class Counts:
    """Columns, sorted as those of a table are, each once; and whole numbers of each."""

    columns: Columns
    values: Ints
    """Shape (columns, numbers)."""

    def __add__(self, other: Counts) -> Counts:
        pairs = zip(vars(self.columns).values(), vars(other.columns).values(), strict=True)
        both = Columns(*(np.concatenate(pair) for pair in pairs))
        order = np.lexsort((both.hashes, both.kind, both.output))
        both, values = both.only(order), np.concatenate([self.values, other.values])[order]
        fresh = np.ones(len(both), dtype=bool)
        fresh[1:] = np.logical_or.reduce([part[1:] != part[:-1] for part in vars(both).values()])
        first = np.flatnonzero(fresh)
        return Counts(both.only(first), np.add.reduceat(values, first) if len(first) else values)

    def only(self, wanted: BoolArray) -> Counts:
        """Some of them."""
        return Counts(self.columns.only(wanted), self.values[wanted])
