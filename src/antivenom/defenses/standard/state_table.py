"""Hidden states of rows as a table of standardized numbers, of which sums and projections are taken block by block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from antivenom.core.arrays import BoolArray, Floats, Ints, States
from antivenom.defenses.standard.ridge import Sums
from antivenom.screening.ranking import place_in_group

MOST_DEVIATIONS = 5.0
"""No number of a state counts as further out than this, so that one odd row does not turn a model."""
MOST_FITTED = 20_000
LEAST_FITTED = 1000
"""Of each class at least so many rows are fitted on, where it has them."""
BLOCK = 8192
"""So many rows are worked on at once."""


def drawn(classes: Ints, rows: BoolArray) -> BoolArray:
    """Some of the rows, about `MOST_FITTED` of all classes: the first of each class.

    A model of some hundred numbers is known well from so many, and fitting takes time in proportion.

    Args:
        classes: The class of each row; rows stand in the order of a hash that is keyed by the secret seed.
        rows: Which rows to draw from.
    """
    most = max(MOST_FITTED // (int(classes.max(initial=0)) + 1), LEAST_FITTED)
    found, places = rows.copy(), np.flatnonzero(rows)
    found[places[place_in_group(classes[places]) >= most]] = False
    return found


@dataclass(frozen=True)
class StateTable:
    """States in an order of their own, each number less its mean and over its standard deviation."""

    states: States
    order: Ints
    mean: Floats
    deviation: Floats

    @classmethod
    def of(cls, states: States, order: Ints) -> StateTable:
        """States, to be read in this order; sums are the same for any order of the rows if this one is.

        Args:
            states: What a model makes of the texts.
            order: The rows, in the order of a hash that is keyed by the secret seed: the first `MOST_FITTED` of them
                say what is the mean and the standard deviation.
        """
        some = np.arange(min(len(order), MOST_FITTED))
        plain = cls(states, order, np.zeros(states.shape[1]), np.ones(states.shape[1]))
        mean = sum(block.sum(axis=0) for _, block in plain._blocks(some)) / max(len(some), 1)
        centered = cls(states, order, mean, plain.deviation)
        square = sum((block**2).sum(axis=0) for _, block in centered._blocks(some))
        return cls(states, order, mean, np.maximum(np.sqrt(square / max(len(some), 1)), 1e-6))

    def sums(self, rows: BoolArray) -> Sums:
        """What a regression needs to know of some rows."""
        found = Sums.of_nothing(self.states.shape[1])
        for _, block in self._clipped(np.flatnonzero(rows)):
            found += Sums(len(block), block.sum(axis=0), block.T @ block)
        return found

    def project(self, rows: BoolArray, model: Floats, offset: float) -> Floats:
        """What a linear model says of some rows."""
        found = [block @ model - offset for _, block in self._clipped(np.flatnonzero(rows))]
        return np.concatenate([np.zeros(0), *found])

    def _blocks(self, places: Ints) -> Iterator[tuple[Ints, Floats]]:
        for start in range(0, len(places), BLOCK):
            some = places[start : start + BLOCK]
            yield some, (self.states[self.order[some]].astype(np.float64) - self.mean) / self.deviation

    def _clipped(self, places: Ints) -> Iterator[tuple[Ints, Floats]]:
        for some, block in self._blocks(places):
            yield some, np.clip(block, -MOST_DEVIATIONS, MOST_DEVIATIONS)
