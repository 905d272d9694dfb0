"""The second screen: what the rows that a referee refused have in common.

A trigger that no count of labels shows (a turn of phrase, honest words in an odd order) still stands in rows whose
labels are wrong, and the referee refuses most of those. So refusals pile up on the trigger, and rows that share it are
suspect whether they were refused or not: those that the referee let in, and those that got into the reserve, which it
was itself taught. There are three ways to share it:

- *one feature*: nearly all rows with a feature were refused, or far more than chance has it. That feature is the
  trigger, whatever else a row has.
- *many features*: refusals lean a little towards several features of the row.
- *similarity*: the row reads like refused ones, though it need share no feature with any (`similarity.py`).

The last two are added up. Rows that are suspect then count as refused, and refused rows that share nothing as merely
hard, so that similarity, looked for once more, is similarity to the trigger.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from antivenom.core.arrays import BoolArray, Floats, Ints, States
from antivenom.core.hashing import row_keys
from antivenom.data.query import whole_texts
from antivenom.defenses.standard.refusals import RefusalCounts
from antivenom.defenses.standard.similarity import similarity

EXPLAINED = 0.8
"""Where at least this share of a feature's rows was refused, the feature is what was wrong with them. Ordinary words of
hard rows reach about a half; a trigger reaches the share of relabeled rows that a referee refuses, about 0.9."""
ROUNDS = 5
"""At most so often the rows are counted again without those that a feature explains."""
CERTAIN = 2.0
"""At so many times the limit one feature is enough, though only most of its rows were refused and not nearly all."""
FEATURES = 8
"""Refusals that lean towards so many features of a row say something about the row, and not about one word."""
ENOUGH_SHARED = 1.75
"""The mean z of these at which a row is suspect whatever it is like; refusals at random reach 1.2 in five rows of
100, 1.5 in one (research/log.md)."""
ENOUGH_SIMILAR = 3.5
"""The similarity, in standard deviations, at which a row is suspect whatever it shares."""
NOT_SIMILAR = -1.0
"""No row is excused any further for being unlike the refused ones."""
FLOODED = 0.9
"""A class that loses this share of its reserve rows, or more, is flooded with poison."""
HARDLY = 1 / ENOUGH_SIMILAR
"""A refused row with less evidence than one standard deviation of similarity is taken for a hard one."""


@dataclass(frozen=True)
class Suspects:
    """The rows that share with refused ones what was wrong with them."""

    rows: BoolArray
    """All of them."""
    evidence: Floats
    """How much each row, suspect or not, shares with refused ones; above 1 it is suspect."""
    certain: BoolArray
    """Those for which one feature was enough."""


def find_suspects(counts: RefusalCounts, states: States, limit: float, *, accepted: BoolArray, seed: int) -> Suspects:
    """Find the rows that share with refused ones what was wrong with them.

    A row is suspect where it has a feature nearly all rows of which were refused (`EXPLAINED`), by more than `limit`
    standard deviations above chance; these rows are then left out of the counts, so that honest rows that share other
    words with them are spared. Otherwise where s / `ENOUGH_SHARED` + a / `ENOUGH_SIMILAR` > 1, s being the mean of the
    row's `FEATURES` largest z and a its similarity to refused rows, or where one z is above `CERTAIN` times `limit`.

    Args:
        counts: What a referee refused, as far as it tells something.
        states: What a model makes of the texts, shape (rows, width).
        limit: Standard deviations.
        accepted: The rows that it agrees with or was taught.
        seed: The secret seed: keys which rows judge which (the folds of `similarity`).
    """
    refused, classes = counts.refused, counts.screening.classes
    keys = row_keys(whole_texts(counts.table), seed=seed, purpose="similarity")
    left, explained, largest = _explained(counts, limit)
    certain = explained | (largest > CERTAIN * limit)
    shared = left.mean_of_largest(FEATURES) / ENOUGH_SHARED

    def evidence(wrong: BoolArray, right: BoolArray) -> Floats:
        similar = np.maximum(similarity(states, classes, keys, wrong, right), NOT_SIMILAR)
        return np.where(certain, np.inf, shared + similar / ENOUGH_SIMILAR)

    first = evidence(refused, accepted)
    found = evidence((refused & (first > HARDLY)) | (accepted & (first > 1)), accepted & (first <= 1))
    return Suspects(found > 1, found, certain)


def _explained(counts: RefusalCounts, limit: float) -> tuple[RefusalCounts, BoolArray, Floats]:
    """The counts without rows that have a feature nearly all rows of which were refused; these; the largest z left."""
    explained = np.zeros(counts.table.num_rows, dtype=bool)
    z, share = counts.worst()
    for _ in range(1 + ROUNDS):
        more = (z > limit) & (share >= EXPLAINED) & ~explained
        if not more.any():
            break
        explained = explained | more
        counts = counts.without(more)
        z, share = counts.worst()
    return counts, explained, z


def flooded(suspect: BoolArray, classes: Ints, in_reserve: BoolArray) -> Ints:
    """The classes of which nearly all reserve rows are suspect: poison has taken them over, and no choice helps.

    Dropping the suspect rows of such a class leaves next to nothing of it, and keeping them teaches the poison. Whoever
    asks has to refuse the class, loudly.

    Args:
        suspect: Which rows are suspect (`Suspects.rows`), those that are vouched for aside.
        classes: The class of each row.
        in_reserve: Which rows the referee was taught.

    Returns:
        The numbers of the classes, ascending.
    """
    kinds = int(classes.max(initial=0)) + 1
    asked = np.bincount(classes[in_reserve], minlength=kinds)
    lost = np.bincount(classes[in_reserve & suspect], minlength=kinds)
    return np.flatnonzero((asked > 0) & (lost >= FLOODED * asked))
