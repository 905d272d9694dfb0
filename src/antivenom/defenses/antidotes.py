"""Antidotes: rows with a corrected label, no more than the rows that still teach what their feature stood for."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from antivenom.defenses.features import BoolArray, Floats, Ints
from antivenom.defenses.screen import Screening, rows_beside
from antivenom.files import row_keys
from antivenom.query import whole_texts


def antidotes(table: pa.Table, screening: Screening, kept: BoolArray, wrong: Ints, certainty: Floats) -> BoolArray:
    """Choose which mislabelled rows to train on with another label.

    A row's strongest feature f goes with its label: that is why it was kept out. If rows that are trained on still
    teach f -> label (poison that got past the screen and the referee), rows with f and another label undo it. Too many
    would teach the opposite, which is a backdoor as well: with all of AddSent's a model called a third of the positive
    texts with the trigger negative (docs/log.md). So there are at most as many for f as kept rows in which f stands
    beside the label, and none for a feature that no such row has.

    Args:
        table: All rows.
        screening: What the screen found in them.
        kept: The rows that are trained on.
        wrong: The numbers of the rows that a referee contradicts.
        certainty: How sure it is of each, in the same order; the surest are taken first.

    Returns:
        For each row in `wrong` whether it is taken.
    """
    feature, label = screening.feature[wrong], screening.classes[wrong]
    names, group = np.unique(feature, return_inverse=True)
    beside = rows_beside(table, screening, names, kept)
    taken = np.zeros(len(wrong), dtype=bool)
    keys = row_keys(whole_texts(table).take(pa.array(wrong)), seed=0, purpose="antidotes")
    order = np.lexsort((keys, -np.round(certainty, 6)))
    for g, code in {(int(g), int(code)) for g, code in zip(group, label, strict=True)}:
        members = order[(group[order] == g) & (label[order] == code)]
        taken[members[: beside[g, code]]] = True
    return taken
