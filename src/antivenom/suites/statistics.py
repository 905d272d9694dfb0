"""What may be said of numbers: intervals of differences, seeds, families of tests, and what a test could have seen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from antivenom.core.intervals import wilson
from antivenom.core.options import Options
from antivenom.evaluation.rates import chance_of_split, paired_mean

Verdict = Literal["better", "same", "worse"]
POWER = 0.8


class Counted(NamedTuple):
    """A rate: hits of total."""

    hits: float
    total: int

    @property
    def value(self) -> float:
        """Hits over total."""
        return self.hits / self.total

    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval."""
        return wilson(self.hits, self.total)


class Difference(NamedTuple):
    """A difference and its 95 % interval."""

    value: float
    low: float
    high: float

    def verdict(self, *, lower_is_better: bool) -> Verdict:
        """Whether the interval lies to one side of zero."""
        if self.low <= 0 <= self.high:
            return "same"
        return "better" if (self.value < 0) == lower_is_better else "worse"


@dataclass(frozen=True)
class Paired(Options):
    """Two models on the same rows."""

    only_first: int
    only_second: int
    rows: int
    difference: float
    """second - first."""
    low: float
    high: float
    p_value: float
    """McNemar's exact test."""

    @property
    def detectable(self) -> float:
        """The smallest loss that so many rows show, given how often the two models disagree; see `seen`.

        A claim that nothing was lost says no more than that. Two rows are added, one of which differs: none that
        differs would promise too much.
        """
        return seen(self.only_first + self.only_second + 1, self.rows + 2)


@dataclass(frozen=True)
class OverSeeds(Options):
    """One number over several seeds."""

    mean: float
    sd: float | None
    low: float | None
    """Of the paired 95 % interval of the mean; none for fewer than two seeds."""
    high: float | None
    seeds: int


def difference_of_rates(first: Counted, second: Counted) -> Difference:
    """The second of two independent rates less the first, with Newcombe's hybrid interval (1998, method 10).

    It is put together from the two Wilson intervals.

    Raises:
        ZeroDivisionError: a rate has no rows.
    """
    (l1, u1), (l2, u2) = first.interval(), second.interval()
    p1, p2 = first.value, second.value
    low = p2 - p1 - math.hypot(p2 - l2, u1 - p1)
    high = p2 - p1 + math.hypot(u2 - p2, p1 - l1)
    return Difference(p2 - p1, low, high)


def paired(only_first: int, only_second: int, rows: int) -> Paired:
    """Compare two models that answered the same rows.

    The interval is that of `paired_mean`, which keeps its coverage where few rows differ.

    Args:
        only_first: Rows with the outcome (a right answer, say) from the first model only.
        only_second: From the second only.
        rows: All rows.
    """
    import numpy as np

    found = paired_mean(np.repeat([-1, 1, 0], [only_first, only_second, rows - only_first - only_second]))
    p_value = chance_of_split(only_first, only_second)
    return Paired(only_first, only_second, rows, found.value, found.low, found.high, p_value)


def seen(differing: float, rows: int) -> float:
    """The smallest loss that McNemar's exact test finds with 80 % power at the 5 % level.

    By chance `differing` of the rows are right from one of the models alone; a loss beyond that number makes more rows
    differ, all the same way.
    """
    low, high = 0.0, 1.0
    for _ in range(24):
        middle = (low + high) / 2
        found = rows > 0 and power(middle, differing / rows, rows) >= POWER
        low, high = (low, middle) if found else (middle, high)
    return high


def power(loss: float, differing: float, rows: int) -> float:
    """How often McNemar's exact test finds a loss at the 5 % level.

    Args:
        loss: Accuracy of the first model less that of the second, above 0.
        differing: Share of rows that are right from one of the models alone; at least `loss` is taken.
        rows: How many there are.
    """
    import numpy as np
    from scipy.stats import binom

    share = max(differing, loss)
    first = (1 + loss / share) / 2
    least, most = binom.ppf([1e-6, 1 - 1e-6], rows, share).astype(int)
    number = np.arange(least, most + 1)
    rejected = binom.ppf(0.025, number, 0.5)  # from one model alone in so many rows, or fewer, is no chance
    rejected = np.where(binom.cdf(rejected, number, 0.5) <= 0.025, rejected, rejected - 1)
    found = binom.cdf(rejected, number, first) + binom.cdf(rejected, number, 1 - first)
    return float((binom.pmf(number, rows, share) * found).sum())


def seed_intervals(values: Sequence[float]) -> OverSeeds:
    """Mean, sample standard deviation and t interval of numbers, or of differences that were taken seed by seed."""
    from statistics import mean, stdev

    from scipy.stats import t

    count, middle = len(values), mean(values)
    if count < 2:
        return OverSeeds(middle, None, None, None, count)
    sd = stdev(values)
    half = float(t.ppf(0.975, count - 1)) * sd / math.sqrt(count)
    return OverSeeds(middle, sd, middle - half, middle + half, count)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment of a family of tests; the adjusted values control the family-wise error rate."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    found, largest = [1.0] * len(p_values), 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))
        found[i] = largest
    return found
