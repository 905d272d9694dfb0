"""Shares with their intervals, alone and of two models on the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from antivenom.core.arrays import BoolArray
from antivenom.core.intervals import NORMAL_95, wilson
from antivenom.core.options import Options


@dataclass(frozen=True)
class Rate(Options):
    """A share with its denominator and Wilson's 95 % interval; no share when nothing was counted."""

    hits: int
    total: int
    value: float | None
    """hits / total."""
    low: float | None
    high: float | None

    @classmethod
    def of(cls, hits: BoolArray) -> Rate:
        """Count a column of outcomes."""
        return cls.count(int(hits.sum()), len(hits))

    @classmethod
    def of_known(cls, outcomes: Sequence[bool | None]) -> Rate | None:
        """Count a column of outcomes; none where one of them is not known."""
        return None if None in outcomes else cls.of(np.array(outcomes, dtype=bool))

    @classmethod
    def count(cls, hits: int, total: int) -> Rate:
        """Make a rate of two counts."""
        return cls(hits, total, hits / total, *wilson(hits, total)) if total else cls(0, 0, None, None, None)

    def minus(self, other: Rate) -> float | None:
        """The difference of two shares; none where one of them is none."""
        return None if self.value is None or other.value is None else self.value - other.value

    def __str__(self) -> str:
        """Percent with one decimal and the interval, for tables."""
        if self.value is None or self.low is None or self.high is None:
            return "-"
        return f"{100 * self.value:.1f} [{100 * self.low:.0f}, {100 * self.high:.0f}]"


@dataclass(frozen=True)
class Interval(Options):
    """A number with a 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """Points with a sign, for tables."""
        return f"{100 * self.value:+.1f} [{100 * self.low:+.1f}, {100 * self.high:+.1f}]"


@dataclass(frozen=True)
class Pairing(Options):
    """Two models on the same rows: McNemar's exact test of an outcome (a right answer, a successful attack)."""

    only_first: int
    """Rows with that outcome from the first model only."""
    only_second: int
    """Rows with that outcome from the second only."""
    p_value: float
    """Two-sided; small values say that the difference is no accident of these rows."""


def mcnemar(first: BoolArray, second: BoolArray) -> Pairing:
    """Compare two columns of outcomes over the same rows.

    Under the null hypothesis the discordant rows fall either way with probability 1/2, so their split is binomial.
    """
    b, c = int((first & ~second).sum()), int((~first & second).sum())
    return Pairing(b, c, chance_of_split(b, c))


def chance_of_split(one: int, other: int) -> float:
    """How likely so uneven a split of rows is, where each falls either way with probability 1/2; two-sided."""
    from scipy.stats import binomtest

    return float(binomtest(one, one + other).pvalue) if one + other else 1.0


def paired_mean(differences: npt.NDArray[np.int64]) -> Interval:
    """The mean of differences between outcomes of the same rows, with a 95 % interval.

    Bonett and Price's adjusted Wald interval (Journal of Educational and Behavioral Statistics 2012): one row is added
    that differs by +1 and one that differs by -1, and d ± 1.96 sd / sqrt(n + 2) is taken around the mean of all. So it
    has a width even where no row differs.

    Args:
        differences: For each row an outcome minus another one; shape (rows,). Without rows the interval is [-1, 1].
    """
    if not len(differences):
        return Interval(0.0, -1.0, 1.0)
    padded = np.append(differences, [1, -1])
    center, half = float(padded.mean()), NORMAL_95 * float(padded.std()) / len(padded) ** 0.5
    value = float(differences.mean())
    low, high = max(center - half, float(padded.min())), min(center + half, float(padded.max()))
    return Interval(value, min(value, low), max(value, high))


def balanced_accuracy(rates: Sequence[Rate]) -> Interval:
    """The mean of the classes' accuracies with a 95 % interval.

    The interval joins Wilson's intervals (l_i, u_i) of the k shares p_i by the method of variance estimates recovery
    (Zou and Donner, Statistics in Medicine 2008): low = mean - sqrt(sum (p_i - l_i)^2) / k, high alike. It holds for
    classes of a few rows too.

    Args:
        rates: The accuracy of each class that occurs, at least one.
    """
    shares, lows, highs = (np.array([getattr(rate, name) for rate in rates]) for name in ("value", "low", "high"))
    mean = float(shares.mean())
    below, above = (float(np.sqrt(((edge - shares) ** 2).sum())) / len(rates) for edge in (lows, highs))
    return Interval(mean, max(0.0, mean - below), min(1.0, mean + above))
