"""Weighted ridge regression from sums over groups of rows, so that folds can be left out without another pass."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from antivenom.core.arrays import Floats


@dataclass(frozen=True)
class Sums:
    """What a regression needs to know of some rows; those of two sets of rows add up."""

    count: int
    total: Floats
    """The sum of the rows, shape (width)."""
    squares: Floats
    """The sum of each row's products with itself, shape (width, width)."""

    @classmethod
    def of_nothing(cls, width: int) -> Sums:
        """Those of no rows."""
        return cls(0, np.zeros(width), np.zeros((width, width)))

    @classmethod
    def of_all(cls, parts: Iterable[Sums]) -> Sums:
        """Those of several sets of rows together, at least one."""
        first, *others = parts
        count, total, squares = first.count, first.total.copy(), first.squares.copy()
        for other in others:
            count += other.count
            total += other.total
            squares += other.squares
        return cls(count, total, squares)

    def __sub__(self, other: Sums) -> Sums:
        return Sums(self.count - other.count, self.total - other.total, self.squares - other.squares)

    def about(self, center: Floats) -> tuple[Floats, Floats]:
        """The mean of (x - center) and of its square."""
        mean = self.total / self.count
        cross, squares = np.outer(mean, center), self.squares / self.count
        squares -= cross
        squares -= cross.T
        squares += np.outer(center, center)
        return mean - center, squares


Group = tuple[Sums, float, float]
"""Rows, their weight altogether, and what is wanted of each."""


def ridge(groups: Sequence[Group]) -> tuple[Floats, float]:
    """The weights w and the offset b of x w - b that fit the groups; the penalty is w'w times width over rows.

    All zero where a group has no rows.
    """
    width = len(groups[0][0].total)
    if not all(rows.count for rows, _, _ in groups):
        return np.zeros(width), 0.0
    center: Floats = np.sum([weight * rows.total / rows.count for rows, weight, _ in groups], axis=0)
    matrix, slope = np.eye(width) * width / sum(rows.count for rows, _, _ in groups), np.zeros(width)
    for rows, weight, wanted in groups:
        mean, squares = rows.about(center)
        squares *= weight
        matrix += squares
        slope += weight * wanted * mean
    model = np.linalg.solve(matrix, slope).astype(np.float64)
    return model, float(center @ model)
