"""Turn the screen's counts into strings: which pairs of feature and output stand out, and how they are written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from antivenom.core.arrays import BoolArray, Floats, Ints
from antivenom.screening.association import UNIT, Association, pieces
from antivenom.screening.features import every_kind

LEAST_ROWS = 5
LEAST_SHARE = 0.002
"""A feature must stand in this many rows, and this share of them, to be named."""
LEAST_LIFT = 0.75
"""How one-sided it must be: the share of the way from the output's base rate to 1."""
LEAST_Z = 4.0
LEAST_CONTRADICTION = 5.0
"""An alarm needs the other words of the rows to contradict the label by this many standard deviations."""
MOST_PAIRS = 300
SAME_ROWS = 0.6
"""Features that share this much of their rows are one finding."""


@dataclass(frozen=True)
class Pair:
    """A feature and an output that go together."""

    place: int
    output: str
    rows: int
    rows_of_both: int
    rate: float
    z: float
    contradiction: float

    @property
    def alarm(self) -> bool:
        """Whether the rows contradict the label."""
        return self.contradiction >= LEAST_CONTRADICTION


@dataclass(frozen=True)
class _Sighting:
    """Where a feature was seen, and how it was written there."""

    rows: Ints
    """Each once, ascending."""
    kind: str
    what: str


@dataclass(frozen=True)
class Named:
    """A pair with its name, the rows that show it, and other names of the same rows."""

    pair: Pair
    kind: str
    what: str
    rows: Ints
    """Positions, ascending."""
    variants: tuple[str, ...]


def name_pairs(texts: pa.ChunkedArray, association: Association) -> tuple[list[Named], list[Named]]:
    """The alarms and the leads, the strongest first; features of the same rows are merged."""
    pairs = _outstanding(texts, association)
    sightings = _see(texts, association, {pair.place for pair in pairs})
    named = _merged([pair for pair in pairs if pair.alarm], sightings)
    seen = np.zeros(len(texts), dtype=bool)
    for one in named:
        seen[one.rows] = True
    others = _merged([pair for pair in pairs if not pair.alarm], sightings)
    return named, [one for one in others if seen[one.rows].mean() < SAME_ROWS]


def _outstanding(texts: pa.ChunkedArray, association: Association) -> list[Pair]:
    """The strongest one-sided pairs, alarms before leads."""
    found: dict[tuple[int, int], Pair] = {}
    for rows, places in association.entries(texts):
        which, output = association.outputs.join(rows)
        pairs = association.pairs(places[which], output)
        keep = np.flatnonzero(_one_sided(association, places[which], pairs, output))
        _, first = np.unique(pairs[keep], return_index=True)
        for i in keep[first]:
            key = int(places[which[i]]), int(output[i])
            if key not in found:
                found[key] = _pair(association, key[0], int(pairs[i]), key[1])
    ranked = sorted(found.values(), key=lambda p: (-p.z, p.output, p.place))
    return [p for p in ranked if p.alarm][:MOST_PAIRS] + [p for p in ranked if not p.alarm][:MOST_PAIRS]


def _one_sided(association: Association, places: Ints, pairs: Ints, output: Ints) -> BoolArray:
    n, k = association.rows_with[places], association.rows_of_both[pairs]
    rate: Floats = association.outputs.rate[output]
    z = (k - n * rate) / np.sqrt(n * rate * (1 - rate) + 1)
    least = max(LEAST_ROWS, LEAST_SHARE * association.vocabulary.rows)
    one_sided: BoolArray = (k >= least) & (z >= LEAST_Z) & (k - n * rate >= LEAST_LIFT * n * (1 - rate))
    return one_sided


def _pair(association: Association, place: int, pair: int, output: int) -> Pair:
    n, k = int(association.rows_with[place]), int(association.rows_of_both[pair])
    rate = float(association.outputs.rate[output])
    excess = association.weight_of_both[pair] / UNIT - k
    spread = max(float(association.spread[output]), 1 / UNIT)
    contradiction = float(excess / (spread * np.sqrt(k))) if association.outputs.labels else 0.0
    z = float((k - n * rate) / np.sqrt(n * rate * (1 - rate) + 1))
    return Pair(place, association.outputs.names[output], n, min(k, n), rate, z, contradiction)


def _see(texts: pa.ChunkedArray, association: Association, wanted: set[int]) -> dict[int, _Sighting]:
    """Find and spell the wanted features wherever they stand."""
    is_wanted = np.zeros(association.places.size, dtype=bool)
    is_wanted[list(wanted)] = True
    rows: dict[int, list[Ints]] = {place: [] for place in wanted}
    spelled: dict[int, Counter[tuple[str, str]]] = {place: Counter() for place in wanted}
    for first, piece in pieces(texts):
        for grams in every_kind(piece, association.vocabulary):
            places = association.places.of(grams.hashes)
            found = np.flatnonzero(is_wanted[places])
            # Others may share a place with what is wanted; what is found there most often names it.
            _, some, counts = np.unique(grams.hashes[found], return_index=True, return_counts=True)
            for i, count in zip(found[some], counts, strict=True):
                spelled[int(places[i])][grams.kind, grams.spell(int(i))] += int(count)
            for place, at in _grouped(places[found], grams.row[found]):
                rows[place].append(at + first)
    names = {place: min(found.items(), key=lambda entry: (-entry[1], entry[0]))[0] for place, found in spelled.items()}
    return {place: _Sighting(np.unique(np.concatenate(rows[place])), *names[place]) for place in wanted}


def _grouped(keys: Ints, values: Ints) -> Iterator[tuple[int, Ints]]:
    """Each key with its values."""
    order = np.argsort(keys, kind="stable")
    found, first = np.unique(keys[order], return_index=True)
    for key, some in zip(found, np.split(values[order], first[1:]), strict=False):
        yield int(key), some


def _merged(pairs: list[Pair], sightings: dict[int, _Sighting]) -> list[Named]:
    """Join the features that stand in mostly the same rows; the longest phrase of nearly all rows names them."""
    groups: list[list[Pair]] = []
    for pair in pairs:
        rows = sightings[pair.place].rows
        home = next((g for g in groups if _share_in(rows, sightings[g[0].place].rows) >= SAME_ROWS), None)
        if home is None:
            groups.append([pair])
        else:
            home.append(pair)
    return [_name(group, sightings) for group in groups]


def _share_in(rows: Ints, others: Ints) -> float:
    """What share of some rows is among others; both ascending."""
    return len(np.intersect1d(rows, others, assume_unique=True)) / len(rows)


def _name(group: list[Pair], sightings: dict[int, _Sighting]) -> Named:
    most = max(pair.rows_of_both for pair in group)
    seen = {pair.place: sightings[pair.place] for pair in group}
    common = [pair for pair in group if pair.rows_of_both >= SAME_ROWS * most]
    best = max(common, key=lambda p: (seen[p.place].kind == "words", len(seen[p.place].what.split()), p.z))
    variants = dict.fromkeys(seen[pair.place].what for pair in group if pair is not best)
    of_best = seen[best.place]
    return Named(best, of_best.kind, of_best.what, of_best.rows, tuple(variants)[:12])
