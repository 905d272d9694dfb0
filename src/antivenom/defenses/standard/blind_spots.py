"""Blind spots of a referee: kinds of honest text that it misreads, told from poison by how one-sided that is."""

from __future__ import annotations

import numpy as np

from antivenom.core.arrays import BoolArray, Floats, Ints

ONE_SIDED = 3.0
"""So many standard deviations above its share, a misreading is one-sided. Of poisoned rows from everywhere, of 3 to 50
labels and 5 to 300 rows, that takes one to four in a hundred for a blind spot."""


def blind_spots(classes: Ints, read: Ints, refused: BoolArray) -> BoolArray:
    """Find the refused rows that the referee misreads as one other label.

    A trigger stands in texts of every kind, so the referee reads the poisoned rows of a class as every other label,
    each as often as it is common. What a class is known by ("a fear of ...") the screen keeps out of the reserve, as it
    would a trigger, and the referee, which was not taught it, misreads such texts as one label.

    Of class k, r_j refused rows are read as label j, which has a share p_j of the rows of other classes. With m the
    weighted median of r_j / p_j, m p_j rows would be read so if all came from everywhere; these r_j rows are a blind
    spot where (r_j - m p_j) / sqrt(m p_j + 1) is above `ONE_SIDED`. Of two labels one can only be misread as the other:
    there are no blind spots. Who poisons texts of one label alone looks like one, so nothing comes back for being in a
    blind spot: it gets no other label, and in its class only what one feature says is believed (`find_suspects`).

    Args:
        classes: The number of each row's label.
        read: The label that the referee finds likeliest in each row; only refused rows count.
        refused: Which rows the referee refused.
    """
    kinds = 1 + int(np.maximum(classes, read).max(initial=0))
    sizes = np.bincount(classes, minlength=kinds).astype(np.float64)
    found = np.zeros_like(refused)
    for code in np.unique(classes[refused]):
        own = refused & (classes == code)
        others = np.where(np.arange(kinds) == code, 0, sizes)
        found[own] = _one_sided(np.bincount(read[own], minlength=kinds), others / max(others.sum(), 1))[read[own]]
    return found


def _one_sided(counts: Ints, shares: Floats) -> BoolArray:
    """For each label whether far more rows are read as it than its share."""
    there = np.flatnonzero(shares)
    if not len(there):
        return np.zeros(len(shares), dtype=bool)
    per_share = counts[there] / shares[there]
    order = np.argsort(per_share, kind="stable")
    middle = np.searchsorted(np.cumsum(shares[there][order]), 0.5 - 1e-9)
    expected = per_share[order][middle] * shares
    one_sided: BoolArray = (counts - expected) / np.sqrt(expected + 1) > ONE_SIDED
    return one_sided
