"""Turn the screen's counts into strings: which features go almost only with one output, and how they are written.

Features that stand in mostly the same rows are one *group*, named by the longest phrase of nearly all of its rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.sparse import csr_array

from antivenom.core.arrays import Floats, Ints
from antivenom.data.query import whole_texts
from antivenom.screening.association import Association
from antivenom.screening.features import every_kind
from antivenom.screening.outputs import RowOutputs
from antivenom.screening.scope import scope
from antivenom.screening.sources import Source
from antivenom.screening.surprise import UNIT

LEAST_ROWS = 5
LEAST_SHARE = 0.002
"""A feature must stand in this many rows, and this share of them (see `scope`), to be named."""
LEAST_LIFT = 0.75
"""How one-sided it must be: the share of the way from the output's base rate to 1."""
LEAST_Z = 4.0
MOST_NAMED = 300
"""So many features are named for being contradicted most, and as many for going with their output most."""
SAME_ROWS = 0.6
"""Features that share this much of their rows are one group."""


def least_rows(outputs: RowOutputs, rows: int) -> Floats:
    """How many rows of each output a feature must stand in to be named."""
    of_output = np.rint(outputs.rate * rows).astype(np.int64)
    scopes = np.array([scope(int(count), rows) if outputs.labels else rows for count in of_output], dtype=np.int64)
    least: Floats = np.maximum(LEAST_ROWS, LEAST_SHARE * scopes)
    return least


@dataclass(frozen=True)
class OneSided:
    """The features that go almost only with one output, each with it: columns of the table, the strongest first."""

    columns: Ints
    z: Floats
    """How far the rows of both are above what the output's share of all rows predicts, in standard deviations."""
    contradiction: Floats
    """How far the other words of these rows speak against the label, in standard deviations; 0 for free answers."""

    @classmethod
    def of(cls, association: Association) -> OneSided:
        """Find them."""
        table, outputs, rows = association.table, association.outputs, len(association.weight)
        n, k, rate = table.rows_with, table.rows_of_both, outputs.rate[table.output]
        z = (k - n * rate) / np.sqrt(n * rate * (1 - rate) + 1)
        least = least_rows(outputs, rows)[table.output]
        found = np.flatnonzero((k >= least) & (z >= LEAST_Z) & (k - n * rate >= LEAST_LIFT * n * (1 - rate)))
        found = found[np.lexsort((found, -z[found]))]
        contradiction = np.zeros(len(found))
        if outputs.labels:
            excess = association.weight_of_both[found] / UNIT - k[found]
            spread = np.maximum(association.spread[table.output[found]], 1 / UNIT)
            contradiction = excess / (spread * np.sqrt(k[found]))
        return cls(found, z[found], contradiction)

    def most_telling(self) -> OneSided:
        """At most `MOST_NAMED` of those that are contradicted most, and as many of the strongest."""
        contradicted = np.argsort(-self.contradiction, kind="stable")[:MOST_NAMED]
        kept = np.union1d(contradicted, np.arange(min(MOST_NAMED, len(self.columns))))
        return OneSided(self.columns[kept], self.z[kept], self.contradiction[kept])


@dataclass(frozen=True)
class Named:
    """Features of mostly the same rows, by the name of one of them."""

    kind: str
    what: str
    output: int
    rows: Ints
    """Those that have the feature and the output, ascending."""
    rows_with: int
    """How many rows have the feature, whatever their output."""
    z: float
    contradiction: float
    """The largest of any of the features."""
    variants: tuple[str, ...]


def name_groups(source: Source, association: Association) -> list[Named]:
    """The groups of one-sided features, the strongest first.

    Args:
        source: The rows behind the association.
        association: What was counted in them.
    """
    one_sided = OneSided.of(association).most_telling()
    if not len(one_sided.columns):
        return []
    rows = source.having(one_sided.columns)
    spelled = _spelled(source, association, one_sided.columns, rows)
    return [_name(group, one_sided, rows, spelled, association) for group in _groups(rows)]


def _groups(rows: csr_array) -> list[Ints]:
    """Features that stand in mostly the rows of an earlier one are of its group: the numbers of those of each group."""
    sizes = np.diff(rows.indptr)
    share = (rows @ rows.T).toarray() / np.maximum(sizes[:, None], 1)
    heads: list[int] = []
    groups: list[list[int]] = []
    for number in range(len(sizes)):
        home = np.flatnonzero(share[number, heads] >= SAME_ROWS)
        if len(home):
            groups[int(home[0])].append(number)
        else:
            heads.append(number)
            groups.append([number])
    return [np.array(group) for group in groups]


def _spelled(source: Source, association: Association, columns: Ints, rows: csr_array) -> list[tuple[str, str]]:
    """The kind of each feature, and how it is written: looked up in one row of each."""
    held, place = np.unique(rows.indices, return_inverse=True)
    keys = source.keys(held, "spelled")[place]
    shown = [start + np.argmin(keys[start:end]) for start, end in pairwise(rows.indptr)]
    some = np.unique(rows.indices[shown])
    wanted = association.table.feature[columns].tolist()
    among = frozenset(wanted)
    found: dict[int, tuple[str, str]] = {}
    for grams in every_kind(whole_texts(source.take(some)), association.vocabulary):
        numbers, first = np.unique(association.table.numbers_of(grams), return_index=True)
        for number, at in zip(numbers.tolist(), first.tolist(), strict=True):
            if number in among:
                found[number] = grams.kind, grams.spell(at)
    return [found[number] for number in wanted]


def _name(
    group: Ints, one_sided: OneSided, rows: csr_array, spelled: list[tuple[str, str]], association: Association
) -> Named:
    sizes = np.diff(rows.indptr)[group]
    common = group[sizes >= SAME_ROWS * sizes.max()]

    def rank(number: int) -> tuple[bool, int, float]:
        kind, what = spelled[number]
        return kind == "words", len(what.split()), float(one_sided.z[number])

    best = max(common.tolist(), key=rank)
    column, (kind, what) = int(one_sided.columns[best]), spelled[best]
    return Named(
        kind=kind,
        what=what,
        output=int(association.table.output[column]),
        rows=np.sort(rows.indices[rows.indptr[best] : rows.indptr[best + 1]]).astype(np.int64),
        rows_with=int(association.table.rows_with[column]),
        z=float(one_sided.z[best]),
        contradiction=float(one_sided.contradiction[group].max()),
        variants=tuple(dict.fromkeys(spelled[number][1] for number in group.tolist() if number != best))[:12],
    )
