"""Softmax regression on standardized states, by L-BFGS; nothing in it is random."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from antivenom.core.arrays import Floats, Ints

PENALTY = 1.0
"""The weight of half the squared norm against the sum of the losses: scikit-learn's C = 1."""
STEPS = 200


class Logistic(NamedTuple):
    """Weights over standardized states and a constant."""

    mean: Floats
    deviation: Floats
    weights: Floats
    """Shape (width + 1, labels)."""


def fit_logistic(states: Floats, codes: Ints, count: int) -> Logistic:
    """Fit a softmax regression.

    Args:
        states: Shape (rows, width).
        codes: The number of each row's label.
        count: How many labels there are.
    """
    from scipy.optimize import minimize

    mean, deviation = states.mean(axis=0), states.std(axis=0)
    deviation = np.where(deviation > 1e-6, deviation, 1.0)
    features = _with_constant((states - mean) / deviation)
    wanted = np.eye(count)[codes]

    def loss(flat: Floats) -> tuple[float, Floats]:
        weights = flat.reshape(-1, count)
        logs = _log_softmax(features @ weights)
        penalized = weights.copy()
        penalized[-1] = 0
        slope = features.T @ (np.exp(logs) - wanted) + PENALTY * penalized
        return float(-(logs * wanted).sum() + PENALTY / 2 * (penalized**2).sum()), slope.ravel()

    start = np.zeros(features.shape[1] * count)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": STEPS})
    return Logistic(mean, deviation, found.x.reshape(-1, count))


def probabilities(model: Logistic, states: Floats) -> Floats:
    """The probability of each label; shape (rows, labels)."""
    found: Floats = np.exp(_log_softmax(_with_constant((states - model.mean) / model.deviation) @ model.weights))
    return found


def _with_constant(features: Floats) -> Floats:
    return np.hstack([features, np.ones((len(features), 1))])


def _log_softmax(logits: Floats) -> Floats:
    found: Floats = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    return found
