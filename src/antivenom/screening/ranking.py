"""Ranks of rows within their groups; no order of the rows changes one."""

from __future__ import annotations

from typing import Literal

import numpy as np

from antivenom.core.arrays import Floats, Ints

STEPS = 1024.0
"""Values are compared and added in whole parts of this size, so that no order of adding changes a sum."""
_CEILING = float(2**31)


def ranks_beside(values: Floats, tokens: Ints, classes: Ints) -> Floats:
    """Ranks of what is left of the ranks of `values` once their straight-line dependence on length is taken out.

    Long rows have more features, so the largest is larger by chance, and the reserve would be one of short texts. A
    line fitted over all rows cannot be bent by poison as classes of length could: those that hold most of it would
    have to be chosen from.
    """
    length, rank = ranks(tokens, classes), ranks(values, classes)
    order = np.lexsort((rank, length))  # sums of fractions depend on their order, which must not be the rows'
    centered = (length - 0.5)[order]
    slope = (centered * rank[order]).sum() / max((centered**2).sum(), 1e-9)
    return ranks(np.round(rank - slope * length, 9), classes)


def ranks(values: Floats | Ints, classes: Ints, *, ties: Literal["average", "max", "min"] = "average") -> Floats:
    """Ranks within each class, scaled to (0, 1]; equal values get equal ranks."""
    found = np.zeros(len(values))
    for code in np.unique(classes):
        members = np.flatnonzero(classes == code)
        order = np.argsort(values[members])
        ascending = values[members][order]
        first = np.flatnonzero(np.append(True, ascending[1:] != ascending[:-1]))
        counts = np.diff(np.append(first, len(members)))
        rank = {"min": first + 1, "max": first + counts, "average": first + (counts + 1) / 2}[ties]
        found[members[order]] = np.repeat(rank, counts) / len(members)
    return found


def largest_of_each(rows: Ints, values: Floats, count: int) -> tuple[Ints, Floats]:
    """Of each row its `count` largest values, none below 0, in whole steps of 1 / `STEPS`: the row, and the value.

    They are sorted as one whole number each (row, descending value), several times faster than by two keys.
    """
    steps = np.rint(np.clip(values, 0, _CEILING / STEPS / 2) * STEPS)
    keys = np.sort((rows.astype(np.uint64) << np.uint64(32)) | (_CEILING - steps).astype(np.uint64))
    found = (keys >> np.uint64(32)).astype(np.int64)
    sorted_values = (_CEILING - (keys & np.uint64(0xFFFFFFFF)).astype(np.float64)) / STEPS
    fresh = np.flatnonzero(np.diff(found, prepend=-1))
    most = np.arange(len(found)) - np.repeat(fresh, np.diff(fresh, append=len(found))) < count
    return found[most], sorted_values[most]


def place_in_group(group: Ints) -> Ints:
    """For each row how many before it are of its group."""
    order = np.argsort(group, kind="stable")
    fresh = np.flatnonzero(np.concatenate([[True], np.diff(group[order]) != 0])[: len(order)])
    place = np.empty_like(order)
    place[order] = np.arange(len(order)) - np.repeat(fresh, np.diff([*fresh, len(order)]))
    return place
