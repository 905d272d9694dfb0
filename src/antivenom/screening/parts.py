"""The counts of rows that never are in one memory: each part of them is counted by itself, and sums are added up.

What a part is asked for says little about each of its rows, or something about few features. That a feature which
stands in many rows of all has its share of them in some part (else it had fewer altogether) is what tells each part
the few features that may be named. Nothing here depends on how the rows are cut: the evidence is that of one process.
Each question reads the part again; two hold all of its features in memory, so that what bounds the memory is the part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial, reduce
from operator import add
from typing import NamedTuple, Protocol, TypeVar

import numpy as np
import pyarrow as pa
from scipy.sparse import csr_array

from antivenom.core.arrays import Floats, Hashes, Ints
from antivenom.core.hashing import row_keys
from antivenom.data.query import whole_texts
from antivenom.screening.association import Association, count_tokens
from antivenom.screening.columns import Columns, Counts
from antivenom.screening.feature_table import FeatureTable, sum_by_column
from antivenom.screening.features import every_kind, grams
from antivenom.screening.grouping import LEAST_ROWS
from antivenom.screening.naming import least_rows
from antivenom.screening.outputs import RowOutputs
from antivenom.screening.surprise import TOKEN, doubts, weights
from antivenom.screening.tokens import SmallInts, Tokens, lowered, words
from antivenom.screening.vocabulary import Vocabulary, uncommon_rows

Made = TypeVar("Made")
ENOUGH = 1 - 1e-9
"""What is compared with a share of rows is let in a little below it: fractions are rounded."""


class Part(NamedTuple):
    """Some of the rows."""

    table: pa.Table
    first: int
    """How many rows stand in the parts before."""

    @property
    def rows(self) -> slice:
        """Which of all rows these are."""
        return slice(self.first, self.first + self.table.num_rows)


class Parts(Protocol):
    """All rows, part by part."""

    def each(self, work: Callable[[Part], Made]) -> Iterator[Made]:
        """What `work`, which may be sent to another machine, makes of each part, in their order."""


class TokensOfPart(NamedTuple):
    """What the first question tells."""

    known: Counts
    """In how many rows each token stands: by its hash alone."""
    of_labels: Counts
    """In how many rows of each label."""
    common: list[str]
    """Those that may be in more rows of all than an uncommon one."""


@dataclass(frozen=True)
class Questions:
    """What each part is asked, and what it must know for that."""

    outputs: RowOutputs
    """Of all rows."""
    seed: int
    vocabulary: Vocabulary | None = None

    @property
    def whole(self) -> int:
        """How many rows there are."""
        return len(self.outputs.own)

    def tokens(self, part: Part) -> TokensOfPart:
        """Count tokens."""
        lower, table, counts, _ = self._tokens(part)
        order, nothing = np.argsort(lower.keys), np.zeros(len(counts), dtype=np.int32)
        known = Counts(Columns(nothing, lower.keys[order], nothing), counts[order, None])
        uncommon = uncommon_rows(self.whole) * part.table.num_rows / max(self.whole, 1)
        common = [lower.names[place] for place in np.flatnonzero(counts > ENOUGH * uncommon)]
        return TokensOfPart(known, Counts(Columns.of(table), table.rows_of_both[:, None].astype(np.int64)), common)

    def doubts(self, tokens: FeatureTable, part: Part) -> Floats:
        """How much each row says against its label, given the tokens of all rows."""
        _, table, _, distinct = self._tokens(part)
        _, at = Columns.of(table).places_in(tokens)
        rows_with, rows_of_both = (np.append(one, np.int32(1))[at] for one in (tokens.rows_with, tokens.rows_of_both))
        table = replace(table, rows_with=rows_with, rows_of_both=rows_of_both)  # 1 of what stands in one row of all
        return doubts(table, self._outputs(part), distinct)

    def often(self, part: Part) -> Counts:
        """The columns that may stand in enough rows of all to be named; their counts are not told."""
        table, outputs = self._features(part), self.outputs
        least = least_rows(outputs, self.whole) / np.maximum(np.rint(outputs.rate * self.whole), 1)
        here = np.bincount(self._outputs(part).own, minlength=len(least))
        columns = Columns.of(table).only(table.rows_of_both >= ENOUGH * (least * here)[table.output])
        return Counts(columns, np.zeros((len(columns), 0), dtype=np.int64))

    def sums(self, columns: Columns, weight: Ints, part: Part) -> Ints:
        """Of each column: the rows with the feature, those with the output as well, and the weights of these."""
        table = self._features(part)
        rows_with = np.zeros(1 + int(table.feature.max(initial=-1)) + 1, dtype=np.int64)  # the last one of nothing
        rows_with[table.feature] = table.rows_with
        of_both = np.stack([table.rows_of_both, sum_by_column(table, weight[part.rows])], axis=1)
        numbers, at = columns.places_in(table)
        return np.column_stack([rows_with[numbers], np.append(of_both, [[0, 0]], axis=0)[at]])

    def having(self, columns: Columns, part: Part) -> tuple[SmallInts, SmallInts]:
        """Which rows have which of some columns."""
        table = self._features(part)
        _, at = columns.places_in(table)
        there = np.flatnonzero(at >= 0)
        found = table.having(at[there]).tocoo()
        return there[found.row].astype(np.int32), (found.col + part.first).astype(np.int32)

    def keys(self, rows: Ints, purpose: str, part: Part) -> Hashes:
        """Hashes of some texts."""
        return row_keys(whole_texts(self.take(rows, part)), seed=self.seed, purpose=purpose)

    def take(self, rows: Ints, part: Part) -> pa.Table:
        """Some rows."""
        here = rows[np.searchsorted(rows, part.rows.start) : np.searchsorted(rows, part.rows.stop)]
        return part.table.take(pa.array(here - part.first))

    def _outputs(self, part: Part) -> RowOutputs:
        own, outputs = self.outputs.own[part.rows], self.outputs
        return replace(outputs, own=own, starts=np.arange(len(own) + 1), flat=own)

    def _tokens(self, part: Part) -> tuple[Tokens, FeatureTable, Ints, Ints]:
        """The tokens, as features too; in how many rows each stands; how many each row has."""
        lower = lowered(words(whole_texts(part.table), seed=self.seed), seed=self.seed)
        kind, offsets = TOKEN
        features = [grams(kind, lower, offsets, seed=self.seed)]
        rows = part.table.num_rows
        table = FeatureTable.of(features, rows, self._outputs(part), whole=self.whole)
        return lower, table, *count_tokens(lower, rows)

    def _features(self, part: Part) -> FeatureTable:
        assert self.vocabulary is not None, "the first question tells it"
        features = every_kind(whole_texts(part.table), self.vocabulary)
        return FeatureTable.of(features, part.table.num_rows, self._outputs(part), whole=self.whole)


@dataclass(frozen=True)
class InParts:
    """Rows in parts as a source; see `sources.py`."""

    parts: Parts
    ask: Questions
    columns: Columns
    """What the columns of the association are."""
    numbers: Ints

    def keys(self, rows: Ints, purpose: str) -> Hashes:
        """See `Source`."""
        return np.concatenate(list(self.parts.each(partial(self.ask.keys, rows, purpose))))

    def having(self, columns: Ints) -> csr_array:
        """See `Source`."""
        found = list(self.parts.each(partial(self.ask.having, self.columns.only(columns))))
        where = tuple(np.concatenate(some) for some in zip(*found, strict=True))
        ones = np.ones(len(where[0]), dtype=np.int32)
        return csr_array((ones, where), shape=(len(columns), self.ask.whole))

    def take(self, rows: Ints) -> pa.Table:
        """See `Source`."""
        return pa.concat_tables(self.parts.each(partial(self.ask.take, rows)))


def count_parts(parts: Parts, outputs: RowOutputs, numbers: Ints, *, seed: int) -> tuple[InParts, Association]:
    """Count everything that evidence is made of.

    Args:
        parts: The rows.
        outputs: Their labels.
        numbers: See `Source`.
        seed: Keys the hashes.
    """
    ask, rows = Questions(outputs, seed), len(outputs.own)
    vocabulary, tokens = _tokens_of_all(parts, ask)
    doubt = np.concatenate(list(parts.each(partial(ask.doubts, tokens))))
    weight, spread = weights(doubt, outputs)
    ask = replace(ask, vocabulary=vocabulary)
    columns = reduce(add, parts.each(ask.often)).columns
    sums = reduce(add, parts.each(partial(ask.sums, columns, weight)))
    kinds = [(some.kind, some.offsets) for some in every_kind(pa.array([], pa.string()), vocabulary)]
    table = columns.as_table(kinds, rows, sums[:, 0], sums[:, 1])
    association = Association(vocabulary, outputs, table, weight, doubt, spread, np.zeros(0, np.int64), sums[:, 2])
    return InParts(parts, ask, columns, numbers), association


def _tokens_of_all(parts: Parts, ask: Questions) -> tuple[Vocabulary, FeatureTable]:
    """The vocabulary of all rows, and in how many rows tokens stand with each label."""
    common: set[str] = set()

    def told() -> Iterator[tuple[Counts, Counts]]:
        for one in parts.each(ask.tokens):
            common.update(one.common)
            yield one.known, one.of_labels

    known, of_labels = reduce(lambda one, other: (one[0] + other[0], one[1] + other[1]), told())
    vocabulary = Vocabulary.of_hashes(
        known.columns.hashes, known.values[:, 0], sorted(common), ask.whole, seed=ask.seed
    )
    columns, of_both = of_labels.columns, of_labels.values[:, 0]
    _, place = np.unique(columns.hashes, return_inverse=True)
    rows_with = np.bincount(place, of_both).astype(np.int64)[place]
    kept = rows_with >= LEAST_ROWS
    return vocabulary, columns.only(kept).as_table([TOKEN], ask.whole, rows_with[kept], of_both[kept])
