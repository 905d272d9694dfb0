"""The interval of a share that was counted, without the time that scipy takes to be imported."""

from __future__ import annotations

import math


def wilson(hits: int, total: int, deviations: float = 1.96) -> tuple[float, float]:
    """Wilson's interval of hits / total; (0, 1) where nothing was counted.

    Args:
        hits: How many counted.
        total: Of how many.
        deviations: Standard deviations of the normal distribution: 1.96 gives 95 %.
    """
    if not total:
        return 0.0, 1.0
    share, square = hits / total, deviations**2
    middle = (share + square / (2 * total)) / (1 + square / total)
    reach = deviations / (1 + square / total) * math.sqrt(share * (1 - share) / total + square / (4 * total**2))
    return max(0.0, min(share, middle - reach)), min(1.0, max(share, middle + reach))
