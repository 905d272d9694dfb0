"""How often rows with each feature were refused by a referee, and how far that is above chance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from antivenom.core.arrays import BoolArray, Floats, Ints
from antivenom.screening.feature_table import Block
from antivenom.screening.ranking import largest_of_each
from antivenom.screening.screen import Screening
from antivenom.screening.tokens import SmallInts

MAJORITY = 0.5
"""A feature counts where at least this share of its rows was refused: most labels beside a trigger are wrong. Without
this, features of unusual rows, of which a few more are refused than of others, would cost half of a class."""


@dataclass(frozen=True)
class RefusalCounts:
    """For each pair of feature and class, how many of its rows were judged and how many refused.

    For a feature in n judged rows of a class, k of them refused, and p the share of refused rows of that class:
    z = (k - n p) / sqrt(n p (1 - p) + 1), the row itself left out. The 1 shrinks what stands on few rows. A feature of
    most rows has z near 0, however many are refused. With refusals at random the largest z of 2,400 rows is about 3.6.
    p is at most `MAJORITY`, since more of a class is refused only where it is mostly poison.
    """

    table: pa.Table
    screening: Screening
    judged: BoolArray
    refused: BoolArray
    asked: SmallInts
    """By column of the screen's table (a feature in a class) how many rows were judged, and how many of them refused:
    shape (columns, 2)."""
    rate: Floats
    """What share of each class is refused by chance."""

    @classmethod
    def of(cls, table: pa.Table, screening: Screening, judged: BoolArray, refused: BoolArray) -> RefusalCounts:
        """Count.

        Args:
            table: The rows that were screened.
            screening: What the screen found in them.
            judged: Which rows a referee that never saw them was asked about.
            refused: Which of these it refused.
        """
        refused = refused & judged
        columns = screening.association.table
        asked = np.stack([columns.rows_of_both - columns.count(~judged), columns.count(refused)], axis=1)
        classes = screening.classes
        kinds = int(classes.max(initial=0)) + 1
        of_class, refused_of_class = (np.bincount(classes[rows], minlength=kinds) for rows in (judged, refused))
        # A class of which most is refused is mostly poison, whose refusals are no measure of chance.
        rate = np.minimum(refused_of_class / np.maximum(of_class, 1), MAJORITY)
        return cls(table, screening, judged, refused, asked, rate)

    def without(self, rows: BoolArray) -> RefusalCounts:
        """The counts as if nobody had been asked about some rows."""
        return RefusalCounts.of(self.table, self.screening, self.judged & ~rows, self.refused)

    def look_up(self, rows: Ints, columns: Ints | SmallInts) -> tuple[Floats, Floats]:
        """The z of features in rows, 0 where fewer than most of their rows were refused; and which share was.

        Args:
            rows: The row of each feature.
            columns: The column of each feature with the class of its row.
        """
        p = self.rate[self.screening.classes[rows]]
        asked = np.take(self.asked, columns, axis=0)
        n, k = asked[:, 0] - self.judged[rows], asked[:, 1] - self.refused[rows]
        z = np.where(k >= MAJORITY * n, (k - n * p) / np.sqrt(np.maximum(n * p * (1 - p), 0) + 1), 0)
        return z, k / np.maximum(n, 1)

    def may_count(self) -> BoolArray:
        """For each column whether `look_up` can say more than 0 of it, whichever of its rows asks."""
        # A judged row that was not refused leaves the most to be said: one asked row less, and none refused.
        found: BoolArray = (self.asked[:, 1] > 0) & (self.asked[:, 1] >= MAJORITY * (self.asked[:, 0] - 1))
        return found

    def worst(self) -> tuple[Floats, Floats]:
        """Each row's largest z, 0 where it has none, and the share of refused rows of the feature that has it."""
        worst, share = np.zeros(self.table.num_rows), np.zeros(self.table.num_rows)

        def look(told: Block) -> None:
            z, of_feature = self.look_up(told.each_row(), told.columns)
            worst[told.rows] = np.maximum(told.largest(z, 0), 0)
            best = z == told.spread(worst[told.rows])
            share[told.rows] = told.largest(np.where(best, of_feature, 0), 0)

        self._each_told(look)
        return worst, share

    def mean_of_largest(self, count: int) -> Floats:
        """The mean of each row's `count` largest z, those that it lacks taken as 0."""
        total = np.zeros(self.table.num_rows)

        def look(told: Block) -> None:
            z, _ = self.look_up(told.each_row(), told.columns)
            some = told.where(z > 0)
            rows, largest = largest_of_each(some.spread(np.arange(len(some.counts))), z[z > 0], count)
            total[some.rows] = np.bincount(rows, largest, len(some.counts))

        self._each_told(look)
        return total / count

    def _each_told(self, look: Callable[[Block], None]) -> None:
        """Look at the entries of which `look_up` says something, block by block."""
        may_count = self.may_count()
        self.screening.association.table.each_block(lambda block: look(block.where(may_count[block.columns])))
