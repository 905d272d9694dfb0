"""Antidotes: rows with a corrected label, as many as balance what their suspicious feature still teaches."""

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
    texts with the trigger negative (docs/log.md). So at most

        same (1 - b) / b - other

    antidotes are chosen for f, where `same` and `other` count the kept rows with f that have the label and that have
    another, and b is the label's share of all kept rows: f is brought back to saying nothing. None is chosen for a
    feature that no kept row has.

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
    share = np.bincount(screening.classes[kept], minlength=beside.shape[1]) / max(kept.sum(), 1)
    taken = np.zeros(len(wrong), dtype=bool)
    keys = row_keys(whole_texts(table).take(pa.array(wrong)), seed=0, purpose="antidotes")
    order = np.lexsort((keys, -np.round(certainty, 6)))
    for g, code in {(int(g), int(code)) for g, code in zip(group, label, strict=True)}:
        same, other = beside[g, code], beside[g].sum() - beside[g, code]
        room = int(max(same * (1 - share[code]) / max(share[code], 1e-9) - other, 0))
        members = order[(group[order] == g) & (label[order] == code)]
        taken[members[:room]] = True
    return taken
