"""The second screen: what the rows that a referee refused have in common.

A trigger that no count of labels shows (a turn of phrase, honest words in an odd order) still stands in rows whose
labels are wrong, and the referee refuses most of those. So refusals pile up on the trigger's features, and rows that
carry such a feature are left out whether they were refused or not: those that the referee let in, and those that got
into the reserve, which it was itself fine-tuned on.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from antivenom.defenses.association import entries
from antivenom.defenses.screen import Screening
from antivenom.defenses.streams import BoolArray, Floats, Ints
from antivenom.query import whole_texts

MAJORITY = 0.5
"""A feature counts where at least this share of its rows was refused: most labels beside a trigger are wrong. Without
this, features of unusual rows, of which a few more are refused than of others, would cost half of a class."""
TIMES_ITS_OWN = 2.0
"""And at least so many times the share that the referee refuses for reasons of its own. A referee that has not learnt a
hard task refuses a third of everything, and half of some honest kinds of rows. `EXPLAINED` is always enough."""
EXPLAINED = 0.8
"""Where at least this share of a feature's rows was refused, the feature is what was wrong with them. Ordinary words of
hard rows reach about a half; a trigger reaches the share of relabelled rows that a referee refuses, about 0.9."""
STEADY = 50
"""So many rows show what share of a class is refused to within about 0.07."""
ROUNDS = 5
"""At most so often the rows are counted again without those that a feature explains."""


def shared_refusal(
    table: pa.Table,
    screening: Screening,
    judged: BoolArray,
    refused: BoolArray,
    limit: float,
) -> BoolArray:
    """The rows with a feature most of whose rows were refused, by more than `limit` standard deviations above chance.

    For a feature in n judged rows of a class, k of them refused, and p the share of refused rows of that class:
    z = (k - n p) / sqrt(n p (1 - p) + 1), the row itself left out. The 1 shrinks what stands on few rows. A feature of
    most rows has z near 0, however many are refused. With refusals at random the largest z of 2,400 rows is about 3.6.
    p is at most `MAJORITY`, since more of a class is refused only where it is mostly poison, and "most" of a feature's
    rows are as many; both are more where the referee itself errs often (`own_refusals`).

    Where nearly all rows with a feature were refused (`EXPLAINED`), that feature is the trigger. Its rows are suspect,
    and are then left out of the counts: the other words in them are not what was wrong with them, and honest rows that
    share these words are spared.

    Args:
        table: The rows that were screened.
        screening: What the screen found in them.
        judged: Which rows a referee that never saw them was asked about.
        refused: Which of these it refused.
        limit: Standard deviations.
    """
    suspect = np.zeros(table.num_rows, dtype=bool)
    for _ in range(ROUNDS):
        z, share = _most_refused(table, screening, judged & ~suspect, refused & judged & ~suspect)
        explained = (z > limit) & (share >= EXPLAINED) & ~suspect
        if not explained.any():
            break
        suspect |= explained
    return suspect | (z > limit)


def own_refusals(classes: Ints, judged: BoolArray, refused: BoolArray) -> float:
    """What a referee refuses for reasons of its own: the share of the class of which it refuses least.

    Poison adds to the refusals of the attacker's class; of a class without poison every refusal is the referee's error.
    Of many small classes the least share would be 0 by chance, so that to each class `STEADY` rows are added of which
    the referee refuses as many as of all.
    """
    asked, said_no = _refusals(classes, judged, refused)
    mean = said_no.sum() / max(asked.sum(), 1)
    shares = (said_no + STEADY * mean) / (asked + STEADY)
    return float(shares[asked > 0].min(initial=mean))


def _refusals(classes: Ints, judged: BoolArray, refused: BoolArray) -> tuple[Ints, Ints]:
    """How many rows of each class were judged, and how many of these refused."""
    kinds = int(classes.max(initial=0)) + 1
    return np.bincount(classes[judged], minlength=kinds), np.bincount(classes[refused & judged], minlength=kinds)


def _most_refused(
    table: pa.Table, screening: Screening, judged: BoolArray, refused: BoolArray
) -> tuple[Floats, Floats]:
    """Each row's largest z, 0 where none is above, and the share of refused rows of the feature that has it."""
    classes, size = screening.classes, len(screening.association.rows_with)
    kinds = int(classes.max(initial=0)) + 1
    texts, vocabulary = whole_texts(table), screening.association.vocabulary
    own = own_refusals(classes, judged, refused)
    # A class of which most is refused is mostly poison, whose refusals are no measure of chance.
    of_class, refused_of_class = _refusals(classes, judged, refused)
    rate = np.minimum(refused_of_class / np.maximum(of_class, 1), max(MAJORITY, own))
    most = min(max(MAJORITY, TIMES_ITS_OWN * own), EXPLAINED)
    asked, said_no = (np.zeros(size * kinds, dtype=np.int32) for _ in range(2))
    for rows, places in entries(texts, vocabulary, size):
        pairs = places * kinds + classes[rows]
        np.add.at(asked, pairs[judged[rows]], 1)
        np.add.at(said_no, pairs[refused[rows]], 1)
    worst, share = np.zeros(table.num_rows), np.zeros(table.num_rows)
    for rows, places in entries(texts, vocabulary, size):
        pairs, p = places * kinds + classes[rows], rate[classes[rows]]
        n, k = asked[pairs] - judged[rows], said_no[pairs] - refused[rows]
        z = np.where(k >= most * n, (k - n * p) / np.sqrt(n * p * (1 - p) + 1), 0)
        np.maximum.at(worst, rows, z)
        best = z == worst[rows]
        np.maximum.at(share, rows[best], k[best] / np.maximum(n[best], 1))
    return worst, share
