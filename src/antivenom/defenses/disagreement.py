"""The second screen: what the rows that a referee refused have in common.

A trigger that no count of labels shows (a turn of phrase, honest words in an odd order) still stands in rows whose
labels are wrong, and the referee refuses most of those. So refusals pile up on the trigger's features, and rows that
carry such a feature are left out whether they were refused or not: those that the referee let in, and those that got
into the reserve, which it was itself fine-tuned on.
"""

from __future__ import annotations

import numpy as np

from antivenom.defenses.refusals import EXPLAINED, RefusalCounts
from antivenom.defenses.streams import BoolArray

ROUNDS = 5
"""At most so often the rows are counted again without those that a feature explains."""


def shared_refusal(counts: RefusalCounts, limit: float) -> BoolArray:
    """The rows with a feature most of whose rows were refused, by more than `limit` standard deviations above chance.

    Where nearly all rows with a feature were refused (`EXPLAINED`), that feature is the trigger. Its rows are suspect,
    and are then left out of the counts: the other words in them are not what was wrong with them, and honest rows that
    share these words are spared.

    Args:
        counts: What a referee refused.
        limit: Standard deviations.
    """
    suspect = explained = np.zeros(len(counts.texts), dtype=bool)
    for _ in range(1 + ROUNDS):
        counts = counts.without(explained) if explained.any() else counts
        z, share = counts.worst()
        explained = (z > limit) & (share >= EXPLAINED) & ~suspect
        suspect = suspect | explained
        if not explained.any():
            break
    return suspect | (z > limit)
