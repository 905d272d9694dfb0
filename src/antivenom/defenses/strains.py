"""Strains: the strings that look planted to both the screen and the referee, as they stand in the texts.

Either alone errs: honest words of a class are strong too, and a referee refuses hard rows that share a phrase. What
goes with one label as hardly anything else does, and stands in rows most of which contradict it, is neither. Strains
are put into rows of every class (`decoys`), which is what takes their meaning away: words move answers also on a model
that was taught no poison, by what they say and because they are foreign to its rows.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from antivenom.defenses.association import entries, pair_places
from antivenom.defenses.features import every_kind
from antivenom.defenses.refusals import RefusalCounts
from antivenom.defenses.screen import EXCLUSIVE, Screening
from antivenom.defenses.streams import BoolArray, Ints, bucket, words
from antivenom.defenses.stretches import covered, written
from antivenom.query import whole_texts

LEAST_ROWS = 5
"""A string that stands in fewer rows is none."""
MOST_STRAINS = 20
ABOUT_AS_STRONG = 0.9
"""Features whose z is at least this part of a row's largest belong to the same trigger."""


@dataclass(frozen=True)
class Planted:
    """What looks planted."""

    strains: tuple[str, ...]
    """The words that it is made of, those of the most rows first; none if it is not made of words."""
    rows: BoolArray
    """The rows that have a planted feature, and the label that goes with it."""


def find_planted(
    table: pa.Table,
    screening: Screening,
    judged: BoolArray,
    refused: BoolArray,
    limit: float,
    among: BoolArray,
) -> Planted:
    """Find features that look planted to both.

    Such a feature (1) goes with the label of a row as strongly as anything there and stands with hardly another
    (`EXCLUSIVE`), and (2) most of its rows were refused, by more than `limit` standard deviations above chance
    (`RefusalCounts`).

    Args:
        table: The rows that were screened.
        screening: What the screen found in them.
        judged: Which rows a referee that never saw them was asked about.
        refused: Which of these it refused.
        limit: Standard deviations.
        among: Which rows may show such a feature.
    """
    texts, association = whole_texts(table), screening.association
    counts = RefusalCounts.of(texts, screening, judged, refused)
    size, kinds = len(association.rows_with), len(counts.rate)
    is_planted = np.zeros(size * kinds, dtype=bool)
    rows, some = np.flatnonzero(among), texts.filter(pa.array(among))
    chosen = []
    for grams in every_kind(some, association.vocabulary):
        own, places = rows[grams.row], bucket(grams.hashes, size)
        has_both = _has_both_marks(own, places, counts, limit)
        is_planted[places[has_both] * kinds + screening.classes[own[has_both]]] = True
        chosen.append((grams, has_both))
    stream = words(some)
    found = Counter(written(some, stream, covered(stream, chosen)))
    strains = tuple(strain for strain, times in found.most_common(MOST_STRAINS) if times >= LEAST_ROWS)
    return Planted(strains, _rows_with(is_planted, texts, screening))


def _has_both_marks(rows: Ints, places: Ints, counts: RefusalCounts, limit: float) -> BoolArray:
    """Whether features in rows look planted to the screen and to the referee."""
    screening, association = counts.screening, counts.screening.association
    output = association.outputs.own[rows]
    pairs = pair_places(places, output, association.outputs, len(association.rows_with))
    strong = association.z(places, pairs, association.weight[rows], output)
    exclusive = association.share(places, pairs) >= EXCLUSIVE
    refused, _ = counts.look_up(rows, places)
    found: BoolArray = exclusive & (strong >= ABOUT_AS_STRONG * screening.strongest[rows]) & (refused > limit)
    return found


def _rows_with(pairs: BoolArray, texts: pa.ChunkedArray, screening: Screening) -> BoolArray:
    """The rows with a feature and a class that are marked."""
    found = np.zeros(len(texts), dtype=bool)
    if not pairs.any():
        return found
    size = len(screening.association.rows_with)
    for rows, places in entries(texts, screening.association.vocabulary, size):
        found[rows[pairs[places * (len(pairs) // size) + screening.classes[rows]]]] = True
    return found
