"""What a linear model of hidden states believes about rows, with any group of rows left out of it, exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from antivenom.core.arrays import BoolArray, Floats, Ints

PENALTY = 1.0
"""The ridge penalty, for states whose rows have a squared norm of about 1; 0.3 and 3 do as well (research/log.md)."""
STEPS = 50
CERTAIN = 1e-4
"""No probability is closer to 0 or 1 than this."""
LEAST_LEFT = 1e-4
"""No row is taken to decide more than all but this of what is said of it."""


@dataclass(frozen=True)
class HeldOutBelief:
    """A ridge regression of each label on hidden states, fitted on some rows and asked about all.

    Leaving a group G out takes no further fit: with H = X A X', A the inverse of the penalized products of the fitted
    rows, the values without G are those with G less H[:, G] (I - H[G, G])^-1 (y - y^)[G]. This is the identity behind
    leave-one-out residuals (Cook and Weisberg, "Residuals and Influence in Regression", 1982), for a group.
    """

    states: Floats
    """Standardized, less the mean of the fitted rows; shape (rows, width)."""
    pulls: Floats
    """X A, with which a row's states tell how much a fitted row's label counts in it; shape (rows, width)."""
    wanted: Floats
    """1 for each row's label, 0 for the others; shape (rows, labels)."""
    said: Floats
    """What the model says, each row included where it was fitted on; shape (rows, labels)."""
    fitted: BoolArray
    """Which rows it was fitted on."""

    @classmethod
    def of(cls, states: Floats, codes: Ints, labels: int, fitted: BoolArray) -> HeldOutBelief:
        """Fit.

        Args:
            states: Standardized; shape (rows, width).
            codes: The number of each row's label.
            labels: How many labels there are.
            fitted: The rows to fit on.
        """
        wanted = np.eye(labels)[codes]
        some = states[fitted]
        centered = states - some.mean(axis=0)
        inverse = np.linalg.inv(centered[fitted].T @ centered[fitted] + PENALTY * np.eye(states.shape[1]))
        mean = wanted[fitted].mean(axis=0)
        weights = inverse @ (centered[fitted].T @ (wanted[fitted] - mean))
        return cls(centered, centered @ inverse, wanted, centered @ weights + mean, fitted)

    def of_rows(self) -> Floats:
        """What the model says of each row, that row alone left out; shape (rows, labels)."""
        own = np.einsum("ij,ij->i", self.pulls, self.states) + 1 / self.fitted.sum()
        without = self.wanted - (self.wanted - self.said) / np.maximum(1 - own, LEAST_LEFT)[:, np.newaxis]
        return np.where(self.fitted[:, np.newaxis], without, self.said)

    def of_group(self, group: Ints) -> Floats:
        """What the model says of the rows of a group, all of them left out; shape (rows of the group, labels).

        Args:
            group: The places of the rows.
        """
        seen = group[self.fitted[group]]
        if not len(seen):
            return self.said[group]
        pulled = self.states[group] @ self.pulls[seen].T + 1 / self.fitted.sum()
        own = np.eye(len(seen)) - pulled[self.fitted[group]]
        off = np.linalg.solve(own, self.wanted[seen] - self.said[seen])
        without: Floats = self.said[group] - pulled @ off
        return without


def margins(said: Floats, codes: Ints | int) -> Floats:
    """By how much each row's label is said louder than any other; shape (rows,).

    Args:
        said: Shape (rows, labels).
        codes: The label that is asked about, in each row or in all.
    """
    places = np.arange(len(said))
    others = said.copy()
    others[places, codes] = -np.inf
    found: Floats = said[places, codes] - others.max(axis=1)
    return found


@dataclass(frozen=True)
class Calibration:
    """From a margin to a probability: 1 / (1 + exp(-(slope margin + offset))), Platt's scaling."""

    slope: float
    offset: float

    @classmethod
    def of(cls, margin: Floats, holds: BoolArray) -> Calibration:
        """Fit by Newton's method.

        Args:
            margin: The margins of some rows, none of which the model that said them was fitted on.
            holds: Whether the row has the label.
        """
        features = np.stack([margin, np.ones(len(margin))], axis=1)
        weights = np.array([1.0, 0.0])
        for _ in range(STEPS):
            likely = _logistic(features @ weights)
            bend = features.T @ (features * (likely * (1 - likely))[:, np.newaxis]) + 1e-6 * np.eye(2)
            step = np.linalg.solve(bend, features.T @ (holds - likely))
            weights += np.clip(step, -5, 5)
            if np.abs(step).max() < 1e-8:
                break
        return cls(float(weights[0]), float(weights[1]))

    def __call__(self, margin: Floats) -> Floats:
        """The probability of each margin; shape (rows,)."""
        return _logistic(self.slope * margin + self.offset)


def _logistic(values: Floats) -> Floats:
    found: Floats = np.clip(1 / (1 + np.exp(-np.clip(values, -50, 50))), CERTAIN, 1 - CERTAIN)
    return found
