"""The rows that are held back whatever a referee says: those whose features go with their label most.

Poison whose labels are right hides among them, and any honest model agrees with it.
"""

from __future__ import annotations

import numpy as np

from antivenom.core.arrays import BoolArray
from antivenom.screening.screen import Screening


def held_back(screening: Screening, share: float) -> BoolArray:
    """The share of each class whose features go with its label most, but for those of which none goes with it alone.

    A trigger works because it goes with its label whatever else a text says. Words of which a good part of the rows has
    another label ("and", "bad") cannot be one: those rows teach that they decide nothing (`EXCLUSIVE` in
    `screening/screen.py`). A feature is strong where its z is at least the largest of the share `share` of the rows of
    the class. Rows of one class with the same strongest feature count with the least z among them, so that the bound
    never falls inside their group: of a trigger in more rows than that share, those with the lesser z (each row is left
    out of its own evidence) would pass.

    Args:
        screening: What the screen found.
        share: Of each class; equal rows stay together, so it can be more.
    """
    _, group = np.unique(np.stack([screening.classes, screening.feature]), axis=1, return_inverse=True)
    group = group.reshape(-1)
    least = np.full(group.max(initial=0) + 1, np.inf)
    np.minimum.at(least, group, screening.strongest)
    strong = np.zeros(int(screening.classes.max(initial=0)) + 1)
    for code in np.unique(screening.classes):
        strong[code] = np.quantile(least[group[screening.classes == code]], 1 - share)
    found: BoolArray = (screening.associated > 1 - share) & (screening.exclusive >= strong[screening.classes])
    return found
