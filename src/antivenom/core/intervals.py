"""Wilson's interval of a share, for whatever counts something."""

from __future__ import annotations

import math
from statistics import NormalDist

NORMAL_95 = NormalDist().inv_cdf(0.975)
"""Standard deviations on either side of a mean that hold 95 % of a normal distribution."""


def wilson(hits: float, total: int, deviations: float = NORMAL_95) -> tuple[float, float]:
    """Wilson's interval of a share (Journal of the American Statistical Association 1927); everything without a count.

    Args:
        hits: How many of them; need not be whole, so that printed percentages can be read.
        total: How many were counted.
        deviations: How wide, in standard deviations; by default it is a 95 % interval.
    """
    if not total:
        return 0.0, 1.0
    share, grown = hits / total, 1 + deviations**2 / total
    middle = (share + deviations**2 / (2 * total)) / grown
    half = deviations * math.sqrt(share * (1 - share) / total + deviations**2 / (4 * total**2)) / grown
    return (0.0 if hits == 0 else middle - half), (1.0 if hits == total else middle + half)
