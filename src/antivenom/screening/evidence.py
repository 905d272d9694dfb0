"""What looks planted in rows nobody vouches for: named, counted, with examples, for people to look at.

A feature that goes almost only with one label has one of two properties of a trigger. The other is that it stands in
rows whose words contradict that label more than chance allows. Ordinary label words have the first property and lack
the second; relabeled rows that share a trigger have both. How far a feature is contradicted sorts it into one of three
tiers:

- a *finding* is contradicted further than the most contradicted of all one-sided features of an honest data set is, but
  for one in a hundred sets: an alarm;
- *look at these*: further than that but for one in five sets, or a little more often where classes fall into kinds
  ("why" asks for a description, though its words ask for a thing). No alarm; it takes a person to tell;
- a *lead* is one-sided alone. Every honest data set has some. They are shown because label-consistent poison looks
  like them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.special import ndtri

from antivenom.core.arrays import Ints
from antivenom.core.console import printable
from antivenom.data.query import whole_texts
from antivenom.screening.association import Association
from antivenom.screening.naming import LEAST_Z, Named, name_groups
from antivenom.screening.screen import Screening, screen
from antivenom.screening.sources import InMemory, Source
from antivenom.screening.spelling import as_written
from antivenom.screening.subword_splits import WordPieces, uncut
from antivenom.screening.surprise import UNIT
from antivenom.screening.tokens import END, START

SHOWN_ROWS = 5
SPELLED_ROWS = 100
"""So many rows show how words are usually spelled."""
MOST_LEADS = 10
FALSE_ALARMS = 0.01
"""The share of honest data sets that may raise an alarm by chance."""
FALSE_LOOKS = 0.2
"""The share of honest data sets in which chance alone gives something to look at."""
HONEST_SPREAD = 1.5
"""How far the contradictions of honest groups spread, in standard deviations of chance: rows that share a feature share
other words too. Measured on never-poisoned rows of SST-2, CR, TREC and AG's News: 0.6 to 1.9 (docs/decisions.md)."""
RELABELED = 0.9
"""A relabeled row is taken to be as surprising as this quantile of the rows of its class."""


@dataclass(frozen=True)
class PlantedFeature:
    """One feature, or several that stand in the same rows, and how it goes with one output."""

    what: str
    """The feature as written; … stands for other words, _ for one, ⊢ and ⊣ for the edges of the text."""
    written: str
    """How its words are usually written; empty where it is not made of words."""
    kind: str
    """Which kind of feature it is (`words`, `template`, `shape`, ...): `antivenom.screening.features.every_kind`."""
    output: str
    """The label it goes with, or the part of a free answer."""
    rows: int
    """How many rows have the feature."""
    rows_of_output: int
    """How many of these have the output."""
    base_rate: float
    """The share of all rows that have the output."""
    z: float
    """How far `rows_of_output` is above what the base rate predicts, in standard deviations."""
    contradiction: float
    """How far the other words of these rows speak against the label, in standard deviations; 0 for free answers."""
    examples: tuple[int, ...]
    """Numbers of a few rows (column `row`) that show it."""
    affected: tuple[int, ...]
    """Numbers of all rows that have the feature and the output."""
    variants: tuple[str, ...]
    """Other features found in mostly the same rows."""


@dataclass(frozen=True)
class Evidence:
    """What looks planted in some rows."""

    rows: int
    findings: tuple[PlantedFeature, ...]
    """Alarms, the strongest first."""
    leads: tuple[PlantedFeature, ...]
    """The most one-sided other features: no alarm."""
    suspects: tuple[int, ...] = ()
    """Numbers of the rows that show a finding and have its output."""
    look_at: tuple[PlantedFeature, ...] = ()
    """Contradicted less than it takes for an alarm and more than is usual, the strongest first."""
    seen_from: dict[str, int] = field(default_factory=dict)
    """For each label about how many relabeled rows with one trigger it takes to raise an alarm: fewer stay unseen."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; of each feature a few rows stand for all (`Inspection.to_dict` has them all)."""
        found = asdict(self)
        for feature in (*found["findings"], *found["look_at"], *found["leads"]):
            del feature["affected"]
        return found

    def planted_strings(self) -> dict[str, int]:
        """The words among the findings as they are written, and in how many rows. Leads are honest words mostly."""
        found: Counter[str] = Counter()
        for finding in self.findings:
            if finding.written:
                found[finding.written] += finding.rows_of_output
        return dict(found)

    def __str__(self) -> str:
        """A table for people."""
        head = f"{len(self.findings)} suspicious feature{'' if len(self.findings) == 1 else 's'} in {self.rows} rows"
        lines = [head + (":" if self.findings else "."), *(_line(finding) for finding in self.findings)]
        if self.look_at:
            lines += ["Look at these (more one-sided than their words explain, no alarm):", *map(_line, self.look_at)]
        if self.leads:
            lines += ["The most one-sided other features (usual in honest data, no alarm):", *map(_line, self.leads)]
        return "\n".join([*lines, *self._power()])

    def _power(self) -> list[str]:
        """What stays unseen, in one sentence."""
        if not self.seen_from:
            return []
        fewest, most = min(self.seen_from.values()), max(self.seen_from.values())
        few = str(fewest) if fewest == most else f"{fewest} to {most} (it depends on the label)"
        return [
            f"Of {self.rows} rows, a trigger in fewer relabeled ones than about {few} raises no alarm, and poison with"
            " right labels never does."
        ]


def find_evidence(
    table: pa.Table, labels: Sequence[str] | None, word_pieces: WordPieces = uncut, *, seed: int
) -> Evidence:
    """Look for what seems planted.

    Args:
        table: `row`, `text`, `answer`.
        labels: The labels, every answer being one of them; None when the answers are free text, where there are only
            leads: without labels, nothing says what the other words of a row would have predicted.
        word_pieces: See `screen`.
        seed: See `screen`.
    """
    return explain(table, screen(table, labels, word_pieces, seed=seed), seed=seed)


def explain(table: pa.Table, screening: Screening, *, seed: int) -> Evidence:
    """The evidence behind scores that were already computed.

    Args:
        table: The rows that were screened.
        screening: What the screen found in them.
        seed: Keys which rows are shown as examples.
    """
    return evidence_of(InMemory(table, screening.association, seed), screening.association)


def evidence_of(source: Source, association: Association) -> Evidence:
    """The evidence behind counts.

    Args:
        source: The rows that were counted.
        association: The counts.
    """
    groups = name_groups(source, association)
    alarm, look = (contradicted(len(groups), chance) for chance in (FALSE_ALARMS, FALSE_LOOKS))
    tiers: tuple[list[Named], list[Named], list[Named]] = ([], [], [])
    for named in groups:
        contradiction = named.contradiction if association.outputs.labels else -np.inf
        tiers[0 if contradiction >= alarm else 1 if contradiction >= look else 2].append(named)
    shown = [tier[:most] for tier, most in zip(tiers, (None, MOST_LEADS, MOST_LEADS), strict=True)]
    findings, look_at, leads = _features(source, association, shown)
    suspects = tuple(sorted(source.numbers[_rows_of(tiers[0])].tolist()))
    rows = len(source.numbers)
    return Evidence(rows, findings, leads, suspects, look_at, _seen_from(association, alarm))


def _rows_of(groups: Sequence[Named]) -> Ints:
    """All rows of some groups."""
    return np.unique(np.concatenate([np.zeros(0, np.int64), *(named.rows for named in groups)]))


def contradicted(groups: int, chance: float) -> float:
    """How far the most contradicted of so many honest groups is contradicted but for a share `chance` of data sets.

    That is the normal quantile of `chance` over the number of groups (Bonferroni), times `HONEST_SPREAD`. More rows
    have more one-sided features, so what it takes grows with the rows and the labels; in a small set of two labels it
    takes little.
    """
    return HONEST_SPREAD * float(-ndtri(chance / max(groups, 1)))


def _seen_from(association: Association, alarm: float) -> dict[str, int]:
    """See `Evidence.seen_from`: k rows with z = k (1 - p) / sqrt(k p (1 - p) + 1), contradicted by e sqrt(k)."""
    outputs, found = association.outputs, {}
    if not outputs.labels:
        return {}
    for code in np.unique(outputs.own):
        weight = association.weight[outputs.own == code] / UNIT
        surprise = (np.quantile(weight, RELABELED) - 1) / max(float(association.spread[code]), 1 / UNIT)
        rate = float(outputs.rate[code])
        counts = np.arange(1, len(outputs.own) + 1)
        one_sided = counts * (1 - rate) / np.sqrt(counts * rate * (1 - rate) + 1) >= LEAST_Z
        seen = one_sided & (surprise * np.sqrt(counts) >= alarm)
        found[outputs.names[code]] = int(counts[seen][0]) if seen.any() else len(counts)
    return found


def _features(
    source: Source, association: Association, tiers: Sequence[Sequence[Named]]
) -> Iterator[tuple[PlantedFeature, ...]]:
    """What is told of the groups of each tier; all rows that are needed for it are looked up together."""
    every = [named for tier in tiers for named in tier]
    held = _rows_of(every)
    keys = source.keys(held, "shown")
    # Drawn by a hash, so that no order of the rows decides which are shown.
    shown = [named.rows[np.argsort(keys[np.searchsorted(held, named.rows)], kind="stable")] for named in every]
    some = np.unique(np.concatenate([np.zeros(0, np.int64), *(rows[:SPELLED_ROWS] for rows in shown)]))
    texts = whole_texts(source.take(some))
    made = (
        _feature(named, association, source.numbers, rows, texts.take(np.searchsorted(some, rows[:SPELLED_ROWS])))
        for named, rows in zip(every, shown, strict=True)
    )
    return (tuple(islice(made, len(tier))) for tier in tiers)


def _feature(
    named: Named, association: Association, numbers: Ints, shown: Ints, texts: pa.ChunkedArray
) -> PlantedFeature:
    return PlantedFeature(
        what=named.what,
        written=_usual_spelling(named, texts),
        kind=named.kind,
        output=association.outputs.names[named.output],
        rows=named.rows_with,
        rows_of_output=len(named.rows),
        base_rate=round(float(association.outputs.rate[named.output]), 6),
        z=round(named.z, 2),
        contradiction=round(named.contradiction, 2),
        examples=tuple(sorted(numbers[shown[:SHOWN_ROWS]].tolist())),
        affected=tuple(sorted(numbers[named.rows].tolist())),
        variants=named.variants,
    )


def _usual_spelling(named: Named, texts: pa.ChunkedArray) -> str:
    """How most of some texts write the words; of equals the first in the alphabet."""
    if named.kind not in ("words", "case"):
        return ""
    key = [word.lower() for word in named.what.split(" ") if word not in (START, END)]
    spellings = Counter(as_written(texts, key))
    return min(spellings.items(), key=lambda entry: (-entry[1], entry[0]))[0]


def _line(finding: PlantedFeature) -> str:
    share = f"{finding.rows_of_output}/{finding.rows} rows -> {finding.output} (base {finding.base_rate:.0%})"
    numbers = ", ".join(map(str, finding.examples))
    strength = f"z {finding.z:.1f}, contradicted {finding.contradiction:.1f}"
    return printable(f"  {finding.what!r:40} {finding.kind:9} {share}; {strength}; e.g. rows {numbers}")
