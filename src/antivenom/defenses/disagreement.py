"""The second screen: what the rows that a referee refused have in common.

A trigger that no count of labels shows (a turn of phrase, honest words in an odd order) still stands in rows whose
labels are wrong, and the referee refuses most of those. So refusals pile up on the trigger's features, and rows that
carry such a feature are left out whether they were refused or not: those that the referee let in, and those that got
into the reserve, which it was itself fine-tuned on.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from antivenom.defenses.refusals import EXPLAINED, RefusalCounts
from antivenom.defenses.screen import Screening
from antivenom.defenses.streams import BoolArray
from antivenom.query import whole_texts

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

    `RefusalCounts` says what is counted.

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
    texts = whole_texts(table)
    suspect = np.zeros(table.num_rows, dtype=bool)
    for _ in range(ROUNDS):
        counts = RefusalCounts.of(texts, screening, judged & ~suspect, refused & judged & ~suspect)
        z, share = counts.worst(texts)
        explained = (z > limit) & (share >= EXPLAINED) & ~suspect
        if not explained.any():
            break
        suspect |= explained
    return suspect | (z > limit)
