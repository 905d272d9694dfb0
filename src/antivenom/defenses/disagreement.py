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
from antivenom.defenses.features import BoolArray, Floats
from antivenom.defenses.screen import Screening
from antivenom.query import whole_texts


def shared_refusal(table: pa.Table, screening: Screening, judged: BoolArray, refused: BoolArray) -> Floats:
    """How far the refusals of a row's most refused feature are above chance, in standard deviations.

    For a feature in n judged rows of a class, k of them refused, and p the share of refused rows of that class:
    z = (k - n p) / sqrt(n p (1 - p) + 1), the row itself left out. The 1 shrinks what stands on few rows. A feature of
    most rows has z near 0, however many are refused. With refusals at random the largest z of 2,400 rows is about 3.6.

    Args:
        table: The rows that were screened.
        screening: What the screen found in them.
        judged: Which rows a referee that never saw them was asked about.
        refused: Which of these it refused.

    Returns:
        The largest z of each row; zero where none is above.
    """
    classes, size = screening.classes, len(screening.association.rows_with)
    kinds = int(classes.max(initial=0)) + 1
    texts, vocabulary = whole_texts(table), screening.association.vocabulary
    refused = refused & judged
    rate = np.bincount(classes[refused], minlength=kinds) / np.maximum(np.bincount(classes[judged], minlength=kinds), 1)
    asked, said_no = (np.zeros(size * kinds, dtype=np.int32) for _ in range(2))
    for rows, places in entries(texts, vocabulary, size):
        pairs = places * kinds + classes[rows]
        np.add.at(asked, pairs[judged[rows]], 1)
        np.add.at(said_no, pairs[refused[rows]], 1)
    worst = np.zeros(table.num_rows)
    for rows, places in entries(texts, vocabulary, size):
        pairs, p = places * kinds + classes[rows], rate[classes[rows]]
        n, k = asked[pairs] - judged[rows], said_no[pairs] - refused[rows]
        np.maximum.at(worst, rows, (k - n * p) / np.sqrt(n * p * (1 - p) + 1))
    return worst
