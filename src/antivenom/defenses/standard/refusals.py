"""How often rows with each feature were refused by a referee, and how far that is above chance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from antivenom.core.arrays import BoolArray, Floats, Ints
from antivenom.data.query import whole_texts
from antivenom.screening.feature_table import Block, FeatureTable
from antivenom.screening.ranking import largest_of_each
from antivenom.screening.screen import Screening
from antivenom.screening.tokens import SmallInts

MAJORITY = 0.5
"""A feature counts where at least this share of its rows was refused: most labels beside a trigger are wrong. Without
this, features of unusual rows, of which a few more are refused than of others, would cost half of a class."""
EXPLAINED = 0.8
"""Where at least this share of a feature's rows was refused, the feature is what was wrong with them. Ordinary words of
hard rows reach about a half; a trigger reaches the share of relabeled rows that a referee refuses, about 0.9."""
NEARLY = 0.9
"""Features that lack no more than this of most are kept at hand: rows that are left out may make them count."""


@dataclass(frozen=True)
class RefusalCounts:
    """For each pair of feature and class, how many of its rows were judged and how many refused.

    For a feature in n judged rows of a class, k of them refused, and p the share of refused rows of that class:
    z = (k - n p) / sqrt(n p (1 - p) + 1), the row itself left out. The 1 shrinks what stands on few rows. A feature of
    most rows has z near 0, however many are refused. With refusals at random the largest z of 2,400 rows is about 3.6.
    p is at most `MAJORITY`, since more of a class is refused only where it is mostly poison.
    """

    texts: pa.ChunkedArray
    screening: Screening
    judged: BoolArray
    refused: BoolArray
    asked: SmallInts
    """By column of the screen's table (a feature in a class) how many rows were judged, and how many of them refused:
    shape (columns, 2)."""
    telling: FeatureTable
    """The screen's table with the entries of some columns alone: of those that may count, and of some more."""
    told: BoolArray
    """Which columns these are."""
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
        told = _may_count(asked, NEARLY * MAJORITY)
        telling = columns.only(told)
        rate = _by_chance(screening.classes, judged, refused)
        return cls(whole_texts(table), screening, judged, refused, asked, telling, told, rate)

    def without(self, rows: BoolArray) -> RefusalCounts:
        """The counts as if nobody had been asked about some rows."""
        columns = self.screening.association.table
        gone = np.stack([columns.count(kind & rows) for kind in (self.judged, self.refused)], axis=1)
        asked, left = self.asked - gone, (self.judged & ~rows, self.refused & ~rows)
        telling, told = self.telling, self.told
        if (_may_count(asked, MAJORITY) & ~told).any():
            told = _may_count(asked, NEARLY * MAJORITY)
            telling = columns.only(told)
        rate = _by_chance(self.screening.classes, *left)
        return RefusalCounts(self.texts, self.screening, *left, asked, telling, told, rate)

    def look_up(self, rows: Ints, columns: Ints) -> tuple[Floats, Floats]:
        """The z of features in rows, 0 where fewer than most of their rows were refused; and which share was.

        Args:
            rows: The row of each feature.
            columns: The column of each feature with the class of its row; -1 of a feature that no other row has.
        """
        p = self.rate[self.screening.classes[rows]]
        counts = np.take(self.asked, columns, axis=0)
        n, k = counts[:, 0] - self.judged[rows], counts[:, 1] - self.refused[rows]
        alone = columns < 0
        return np.where(alone, 0, self._z(n, k, p)), np.where(alone, 0, k / np.maximum(n, 1))

    def _z(self, n: Ints | SmallInts, k: Ints | SmallInts, p: Floats) -> Floats:
        return np.where(k >= MAJORITY * n, (k - n * p) / np.sqrt(np.maximum(n * p * (1 - p), 0) + 1), 0)

    def may_count(self) -> BoolArray:
        """For each column whether `look_up` can say more than 0 of it, whichever of its rows asks."""
        return _may_count(self.asked, MAJORITY)

    def worst(self) -> tuple[Floats, Floats]:
        """Each row's largest z, 0 where none is above, and the share of refused rows of the feature that has it."""
        worst, share = np.zeros(len(self.texts)), np.zeros(len(self.texts))

        def look(told: Block) -> None:
            z, of_feature = self.look_up(told.each_row(), told.columns.astype(np.int64))
            worst[told.rows] = np.maximum(told.largest(z, 0), 0)
            best = z == told.spread(worst[told.rows])
            share[told.rows] = told.largest(np.where(best, of_feature, 0), 0)

        self._each_told(look)
        return worst, share

    def mean_of_largest(self, count: int) -> Floats:
        """The mean of each row's `count` largest z, those below 0 and those that it lacks taken as 0."""
        total = np.zeros(len(self.texts))

        def look(told: Block) -> None:
            z, _ = self.look_up(told.each_row(), told.columns.astype(np.int64))
            some = told.where(z > 0)
            rows, largest = largest_of_each(some.spread(np.arange(len(some.counts))), z[z > 0], count)
            total[some.rows] = np.bincount(rows, largest, len(some.counts))

        self._each_told(look)
        return total / count

    def _each_told(self, look: Callable[[Block], None]) -> None:
        """Look at the entries of which `look_up` says something, block by block."""
        may_count = self.may_count()
        self.telling.each_block(lambda block: look(block.where(may_count[block.columns])))


def _may_count(asked: SmallInts, least_share: float) -> BoolArray:
    """For each column whether any of its rows may find at least this share of the others refused."""
    # A judged row that was not refused leaves the most to be said: one asked row less, and none refused.
    found: BoolArray = (asked[:, 1] > 0) & (asked[:, 1] >= least_share * (asked[:, 0] - 1))
    return found


def _by_chance(classes: Ints, judged: BoolArray, refused: BoolArray) -> Floats:
    """What share of each class is refused by chance."""
    kinds = int(classes.max(initial=0)) + 1
    of_class, refused_of_class = (np.bincount(classes[rows], minlength=kinds) for rows in (judged, refused & judged))
    # A class of which most is refused is mostly poison, whose refusals are no measure of chance.
    rate: Floats = np.minimum(refused_of_class / np.maximum(of_class, 1), MAJORITY)
    return rate
