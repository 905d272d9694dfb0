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
    the class. Rows of one class with the same strongest feature count with the least z among them, and where they are
    more than that share, with the largest rank among them, so that a bound hardly falls inside their group: of a
    trigger in more rows than are held back, the others would pass. Half of the poison of a rare label did
    (research/log.md).

    Args:
        screening: What the screen found.
        share: Of each class; equal rows stay together, so it can be more.
    """
    classes = screening.classes
    _, group, sizes = np.unique(screening.feature, return_inverse=True, return_counts=True)  # a feature of one class
    least, rank = np.full(len(sizes), np.inf), np.zeros(len(sizes))
    np.minimum.at(least, group, screening.strongest)
    np.maximum.at(rank, group, screening.associated)
    strong = np.zeros(int(classes.max(initial=0)) + 1)
    for code in np.unique(classes):
        strong[code] = np.quantile(least[group[classes == code]], 1 - share)
    large = sizes[group] > share * np.bincount(classes)[classes]
    associated = np.where(large, rank[group], screening.associated)
    found: BoolArray = (associated > 1 - share) & (screening.exclusive >= strong[classes])
    return found
