"""The referee: a linear model of the untouched model's hidden states, taught some rows, says what it reads in all.

No model is fine-tuned for it. The mean hidden state of a text, half of the way up, says most of what the model knows
about it: fitted on 30 % of 1,000 to 2,000 honest rows, a linear model reads the label of 78 % of the others of SST-2,
86 % of CR, 85 % of AG's News, 79 % of TREC and 59 % of Yahoo's ten (research/log.md, 2026-11-30). An adapter that is
fine-tuned on the same rows for 75 steps reads no more of SST-2, and costs a fit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from antivenom.core.arrays import BoolArray, Floats, Hashes, Ints, States
from antivenom.defenses.held_out_belief import LEAST_LEFT, Calibration, margins
from antivenom.defenses.standard.state_table import StateTable, drawn

DEPTH = 0.53
"""Where the model is listened to, as a share of its layers: the last ones know the next word rather than the text. With
the mean at 0.8 beside it 79.0 % of SST-2 are read instead of 77.9, of Yahoo's ten labels 63.9 instead of 59.2, and
decisions about 35 attacks are the same (459 poisoned rows of 2,890 taught; research/log.md, 2026-11-30)."""
DOUBTED = 0.6
"""A label is refused where the referee gives it less than this part of its share of the rows learned from, or of an
even share if that is less, so it has to be sure that the label is wrong. At 1 it refuses many honest rows that it
merely cannot read; far below, relabeled rows pass as well. With an even share alone nearly all honest rows of a rare
label were refused (research/log.md).
"""


@dataclass(frozen=True)
class Referee:
    """What a linear model that was taught some rows reads in all; none is read by a model that was fitted on it."""

    said: Floats
    """About 1 for the label that is read and 0 for others; shape (rows, labels)."""
    shares: Floats
    """The probability of each label, rows sum to 1; shape (rows, labels)."""
    limits: Floats
    """The probability of each label below which it is refused; shape (labels,)."""

    @classmethod
    def of(cls, states: States, classes: Ints, labels: int, keys: Hashes, taught: BoolArray) -> Referee:
        """Fit, and read every row.

        For each label a ridge regression tells its taught rows (1) from all other taught rows (0); the penalty is the
        number of dimensions over the number of rows. What is said of a taught row is said without it. By how much a
        label is said louder than any other becomes a probability by Platt's scaling over the taught rows.

        Args:
            states: What a model makes of the texts, shape (rows, width).
            classes: The number of each row's label.
            labels: How many labels there are.
            keys: A hash of each row's text, keyed by the secret seed: makes sums independent of the rows' order, and
                says which rows are learned from where there are many (`drawn`).
            taught: The rows to learn from.
        """
        order = np.lexsort((taught, classes, keys))
        table, own = StateTable.of(states, order), classes[order]
        fitted = drawn(own, taught[order])
        found = np.round(read_each(table, np.eye(labels)[own], fitted), 6)
        likely = np.empty(found.shape)
        for code in range(labels):
            margin = margins(found, code)
            likely[:, code] = Calibration.of(margin[fitted], own[fitted] == code)(margin)
        said, shares = np.empty_like(found), np.empty_like(likely)
        said[order], shares[order] = found, likely / likely.sum(axis=1, keepdims=True)
        usual = np.bincount(own[fitted], minlength=labels) / max(fitted.sum(), 1)
        # Of a label of which nothing was taught an even share is asked, which it hardly ever gets.
        return cls(said, shares, DOUBTED * np.minimum(np.where(usual > 0, usual, 1), 1 / labels))

    def leads(self, classes: Ints) -> Floats:
        """By how much each row's own label is said louder than any other; shape (rows,)."""
        return margins(self.said, classes)

    def refuses(self, classes: Ints) -> BoolArray:
        """The rows whose label it does not find possible.

        A relabeled row contradicts its text. As far as the taught rows are clean the referee never saw the attack
        trigger, so it reads the text, and nearly every relabeled row is refused whatever its trigger is; what passes
        says the attacker's label by itself and teaches little about the trigger. Rows whose label is right pass:
        clean-label poison is not found here.

        Args:
            classes: The number of each row's label.
        """
        found: BoolArray = self.shares[np.arange(len(classes)), classes] < self.limits[classes]
        return found

    def accuracy(self, classes: Ints, rows: BoolArray) -> float:
        """The share of some rows whose label it reads: a referee that knows not even its own says nothing of others."""
        return round(float((self.said.argmax(axis=1) == classes)[rows].mean()), 4)


def read_each(table: StateTable, wanted: Floats, fitted: BoolArray) -> Floats:
    """What ridge regressions on some rows say of all rows, of a fitted one without itself; shape (rows, values).

    With H = X A X', A the inverse of the penalized products, the value of a fitted row i without itself is
    y_i - (y_i - y^_i) / (1 - H_ii) (Cook and Weisberg, "Residuals and Influence in Regression", 1982).

    Args:
        table: The states.
        wanted: What is wanted of each row; shape (rows, values).
        fitted: The rows to fit on, at least one.
    """
    sums = table.sums(fitted)
    center, count = sums.total / sums.count, sums.count
    _, squares = sums.about(center)
    inverse = np.linalg.inv(squares + np.eye(len(center)) * len(center) / count) / count
    mean = wanted[fitted].mean(axis=0)
    weights = inverse @ table.products(fitted, wanted[fitted] - mean)
    models = [(one, float(center @ one)) for one in weights.T]
    said: Floats = table.project(np.ones(len(fitted), dtype=bool), models).T + mean
    own = table.leverage(fitted, inverse, center) + 1 / count
    left = np.maximum(1 - own, LEAST_LEFT)[:, np.newaxis]
    said[fitted] = wanted[fitted] - (wanted[fitted] - said[fitted]) / left
    return said
