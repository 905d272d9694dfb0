"""Hidden states of rows as a table of standardized numbers, of which sums and projections are taken block by block."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from antivenom.core.arrays import BoolArray, Floats, Ints, States
from antivenom.core.threads import in_threads
from antivenom.defenses.standard.ridge import Sums
from antivenom.screening.ranking import place_in_group

MOST_DEVIATIONS = 5.0
"""No number of a state counts as further out than this, so that one odd row does not turn a model."""
MOST_FITTED = 20_000
LEAST_FITTED = 1000
"""Of each class at least so many rows are fitted on, where it has them."""
BLOCK = 8192
"""So many rows are worked on at once."""
CACHED = 64
"""And so many of them are standardized at once."""


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
        mean = sum(block.sum(axis=0) for block in plain._blocks(some)) / max(len(some), 1)
        centered = cls(states, order, mean, plain.deviation)
        square = sum((block**2).sum(axis=0) for block in centered._blocks(some))
        return cls(states, order, mean, np.maximum(np.sqrt(square / max(len(some), 1)), 1e-6))

    def sums(self, rows: BoolArray) -> Sums:
        """What a regression needs to know of some rows."""
        blocks = self._blocks(np.flatnonzero(rows), clipped=True)
        parts = [Sums(len(block), block.sum(axis=0), block.T @ block) for block in blocks]
        return Sums.of_all(parts or [Sums.of_nothing(self.states.shape[1])])

    def sums_of_each(self, groups: Iterable[BoolArray]) -> list[Sums]:
        """The same of several groups of rows."""
        return list(in_threads(self.sums, groups))

    def products(self, rows: BoolArray, values: Floats) -> Floats:
        """The sum over some rows of each number times each value, shape (width, values).

        Args:
            rows: Which rows.
            values: Those of each of these rows, shape (these rows, values).
        """
        places = np.flatnonzero(rows)
        found = np.zeros((self.states.shape[1], values.shape[1]))
        for start in range(0, len(places), BLOCK):
            found += self._block(places[start : start + BLOCK], clipped=True).T @ values[start : start + BLOCK]
        return found

    def leverage(self, rows: BoolArray, inverse: Floats, center: Floats) -> Floats:
        """(x - center)' inverse (x - center) of some rows x, shape (these rows,).

        Args:
            rows: Which rows.
            inverse: Shape (width, width).
            center: Shape (width,).
        """
        blocks = (block - center for block in self._blocks(np.flatnonzero(rows), clipped=True))
        return np.concatenate([np.einsum("ij,ij->i", block @ inverse, block) for block in blocks])

    def project(self, rows: BoolArray, models: Sequence[tuple[Floats, float]]) -> Floats:
        """What linear models say of some rows, shape (models, rows).

        Args:
            rows: Which rows.
            models: The weights and the offset of each.
        """
        asked, most = self.order[rows], MOST_DEVIATIONS * self.deviation
        found = np.empty((len(models), len(asked)))
        slopes = np.stack([model / self.deviation for model, _ in models], axis=1)
        offsets = np.array([offset for _, offset in models])

        def say(start: int) -> None:
            for at in range(start, min(start + BLOCK, len(asked)), CACHED):
                part = self.states[asked[at : at + CACHED]] - self.mean
                np.maximum(part, -most, out=part)
                np.minimum(part, most, out=part)
                found[:, at : at + CACHED] = (part @ slopes - offsets).T

        for _ in in_threads(say, range(0, len(asked), BLOCK)):
            pass
        return found

    def _blocks(self, places: Ints, *, clipped: bool = False) -> Iterator[Floats]:
        for start in range(0, len(places), BLOCK):
            yield self._block(places[start : start + BLOCK], clipped=clipped)

    def _block(self, places: Ints, *, clipped: bool) -> Floats:
        """Some rows, made a few at a time, so that they stay in the processor's cache meanwhile."""
        found = np.empty((len(places), self.states.shape[1]))
        for start in range(0, len(places), CACHED):
            part = found[start : start + CACHED]
            np.subtract(self.states[self.order[places[start : start + CACHED]]], self.mean, out=part)
            part /= self.deviation
            if clipped:
                np.clip(part, -MOST_DEVIATIONS, MOST_DEVIATIONS, out=part)
        return found
