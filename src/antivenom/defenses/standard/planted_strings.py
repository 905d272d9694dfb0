"""Planted strings: those that look planted to both the screen and the referee, as they stand in the texts.

Either alone errs: honest words of a class are strong too, and a referee refuses hard rows that share a phrase. What
goes with one label as hardly anything else does, and stands in rows most of which contradict it, is neither. Planted
strings are put into rows of every class (`decoys`), which is what takes their meaning away: words move answers also on
a model that was taught no poison, by what they say and because they are foreign to its rows. So a planted string has a
name, which is what is strongest in it ("below :"), and is put into rows as it stands in the rows that it was found in,
with all that goes with it ("please read the lines below :", "now judge the review below :").
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import accumulate, groupby
from operator import itemgetter

import numpy as np
import pyarrow as pa

from antivenom.core.arrays import BoolArray, Floats, Ints
from antivenom.core.hashing import row_keys
from antivenom.defenses.standard.refusals import MAJORITY, RefusalCounts
from antivenom.screening.feature_table import FeatureTable
from antivenom.screening.features import Grams, every_kind
from antivenom.screening.screen import EXCLUSIVE
from antivenom.screening.spans import ABOUT_AS_STRONG, Span, covered, written
from antivenom.screening.tokens import Tokens, pieces, words

LEAST_ROWS = 5
"""A string that stands in fewer rows is none."""
MOST_STRINGS = 20
"""More are not named: the rest stands in fewer rows."""
MOST_CHARACTERS = 200
"""A planted string is cut to this length, and those of a row end there: more would crowd out the texts around them.
"""
MOST_WRITTEN = 200
"""So many kinds of what a row has are kept."""
MOST_TOGETHER = 4
"""So many strings of a row are kept, the longest."""


@dataclass(frozen=True)
class PlantedStrings:
    """What looks planted."""

    named: dict[str, int] = field(default_factory=dict)
    """By its usual spelling, and in how many rows it stands; the most first."""
    written: dict[tuple[str, ...], int] = field(default_factory=dict)
    """What refused rows have of it, each string with all around it that looks planted as well, and how many rows do."""
    rows: frozenset[int] = frozenset()
    """The numbers, in the table, of these rows: what is planted in them can be put into rows of every class."""


def find_planted_strings(counts: RefusalCounts, limit: float, among: BoolArray, *, seed: int) -> PlantedStrings:
    """Find the strings that look planted to both.

    They are made of features that (1) go with the label of a row as strongly as anything there, or as any other words
    that look so, and stand with hardly another label (`EXCLUSIVE`), and of which (2) most rows were refused, by more
    than `limit` standard deviations above chance (`RefusalCounts`).

    Args:
        counts: What a referee refused.
        limit: Standard deviations.
        among: Which rows may show such a feature.
        seed: The secret seed: of wordings of equally many rows, says which are kept.
    """
    planted, seen = _planted_columns(counts, limit), _Sightings()
    rows = np.flatnonzero(among & _having(counts, planted))
    table = counts.screening.association.table.narrowed(planted[:-1])
    some = counts.texts.take(pa.array(rows))
    for first, piece in pieces(some):
        here = rows[first : first + len(piece)]
        looking = _PlantedLooking.of(piece, here, counts, limit, (planted, table))
        tokens, refused = words(piece, seed=counts.screening.association.vocabulary.seed), counts.refused[here]
        for span in written(piece, tokens, looking.strongest_words(tokens)):
            seen.add(span, int(here[span.row]))
        every = written(piece, tokens, looking.every_word(tokens) & refused[tokens.row])
        for number, group in groupby(every, itemgetter(0)):
            seen.add_row(int(here[number]), [span.text[:MOST_CHARACTERS] for span in group])
    return seen.strings(counts.refused, seed)


def _planted_columns(counts: RefusalCounts, limit: float) -> BoolArray:
    """The columns of features that may look planted to both, and one more, False, for features of no other row."""
    association = counts.screening.association
    may = np.append(association.mostly(EXCLUSIVE) & counts.may_count(), False)
    some = np.flatnonzero(may)
    may[some] = counts.may_exceed(some, limit)
    return may


def _having(counts: RefusalCounts, columns: BoolArray) -> BoolArray:
    """The rows that have any of some columns."""
    found = np.zeros(len(counts.texts), dtype=bool)
    for block in counts.screening.association.table.blocks():
        found[block.rows] = block.where(columns[block.columns]).counts > 0
    return found


@dataclass(frozen=True)
class _PlantedLooking:
    """The features of some texts, and how strongly those that look planted to both go with the label; 0 for others."""

    features: list[tuple[Grams, Floats]]
    shows: BoolArray
    """Of each text whether something planted is about as strong as all else in it."""

    @classmethod
    def of(
        cls,
        texts: pa.ChunkedArray,
        rows: Ints,
        counts: RefusalCounts,
        limit: float,
        look_in: tuple[BoolArray, FeatureTable],
    ) -> _PlantedLooking:
        planted, table = look_in
        screening, association = counts.screening, counts.screening.association
        features = []
        for grams in every_kind(texts, association.vocabulary):
            columns, z = association.of_own(grams, rows, table)
            told = np.flatnonzero(planted[columns])
            refused, _ = counts.look_up(rows[grams.row[told]], columns[told])
            planted_z = np.zeros(len(z))
            planted_z[told] = np.where(refused > limit, z[told], 0)
            features.append((grams, planted_z))
        best = np.zeros(len(texts))
        for grams, z in features:
            np.maximum.at(best, grams.row, z)
        return cls(features, best >= ABOUT_AS_STRONG * screening.strongest[rows])

    def strongest_words(self, tokens: Tokens) -> BoolArray:
        """The strongest planted words that stand together, of each text that shows something."""
        best = np.zeros(len(self.shows))
        for grams, z in self._of("words"):
            np.maximum.at(best, grams.row, z)
        return covered(
            tokens, ((grams, (z > 0) & (z >= ABOUT_AS_STRONG * best[grams.row])) for grams, z in self._of("words"))
        )

    def every_word(self, tokens: Tokens) -> BoolArray:
        """All planted words of each text that shows something.

        Words apart count with all between, unless one of them alone is planted beside others: it is the trigger, and
        what follows it at a distance an honest word.
        """
        together = covered(tokens, ((grams, z > 0) for grams, z in self._of("words")))
        apart = []
        for grams, z in self._of("skip"):
            alike = together[grams.start] == together[grams.start + grams.offsets[-1]]
            whole = replace(grams, offsets=tuple(range(grams.offsets[-1] + 1)))
            apart.append((whole, (z > 0) & alike))
        return together | covered(tokens, apart)

    def _of(self, kind: str) -> Iterator[tuple[Grams, Floats]]:
        """Features of a kind, in texts that show something; 0 in others."""
        return ((grams, np.where(self.shows[grams.row], z, 0)) for grams, z in self.features if grams.kind == kind)


@dataclass(frozen=True)
class _Sightings:
    """Where spans of words were seen, and how they were written."""

    rows: dict[tuple[str, ...], set[int]] = field(default_factory=dict)
    spellings: dict[tuple[str, ...], Counter[str]] = field(default_factory=dict)
    written: dict[tuple[str, ...], set[int]] = field(default_factory=dict)

    def add(self, span: Span, row: int) -> None:
        """Note one that stands in this row of the table."""
        self.rows.setdefault(span.key, set()).add(row)
        self.spellings.setdefault(span.key, Counter())[span.text[:MOST_CHARACTERS]] += 1

    def add_row(self, row: int, texts: list[str]) -> None:
        """Note all that a refused row of the table has."""
        longest = sorted(texts, key=lambda text: (-len(text), text))
        fitting = [
            text for text, end in zip(longest, accumulate(map(len, longest)), strict=True) if end <= MOST_CHARACTERS
        ]
        self.written.setdefault(tuple(sorted(fitting[:MOST_TOGETHER])), set()).add(row)

    def strings(self, refused: BoolArray, seed: int) -> PlantedStrings:
        """Those of enough rows; no order of the rows decides. Where none can be named, nothing is kept in silence."""
        if not (named := self._named(refused)):
            return PlantedStrings()
        kinds = list(self.written)
        joined = pa.array(["\n".join(kind) for kind in kinds], pa.string())
        keys = dict(zip(kinds, row_keys(joined, seed=seed, purpose="planted strings").tolist(), strict=True))
        often = {kind: len(rows) for kind, rows in self.written.items()}
        kept = sorted(kinds, key=lambda kind: (-often[kind], keys[kind]))[:MOST_WRITTEN]
        rows = frozenset[int]().union(*(self.written[kind] for kind in kept))
        return PlantedStrings(named, {kind: often[kind] for kind in kept}, rows)

    def _named(self, refused: BoolArray) -> dict[str, int]:
        """Those most of whose rows were refused, by their usual spelling."""
        found: Counter[str] = Counter()
        for key, rows in self.rows.items():
            # Where it stands alone, an honest word of a longer trigger stands in honest rows.
            if len(rows) >= LEAST_ROWS and refused[list(rows)].mean() >= MAJORITY:
                usual = min(self.spellings[key].items(), key=lambda entry: (-entry[1], entry[0]))[0]
                found[usual] += len(rows)
        return dict(sorted(found.items(), key=lambda entry: (-entry[1], entry[0]))[:MOST_STRINGS])
