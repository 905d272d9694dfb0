"""GradSentry (arXiv 2605.26574): rows whose head gradients have a flat spectrum are left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa

from antivenom.core.arrays import Floats
from antivenom.core.errors import OptionsError
from antivenom.defenses.base import Defense, Prepared
from antivenom.defenses.filtering import DIGITS, untouched, without_suspects
from antivenom.defenses.head_gradients import cropped, singular_values
from antivenom.guards.guard import AnyTask
from antivenom.models.lab import Lab

PEAKS_APART = 0.15
LEAST_SIDE, LEAST_SHARE = 5, 0.01
"""Rows on either side of a valley."""
GRID = 512


@dataclass(frozen=True, kw_only=True)
class GradSentry(Defense):
    """Leave out the rows whose gradient of the vocabulary head spreads over many directions.

    Per row the gradient on the untouched model, in its two factors; the corner [:V/8, :d/8]; the entropy of its first
    `rank` singular values, normalized, over log `rank`. Rows above the valley between two peaks of the entropies'
    density go, or those above `otherwise` where there are no two peaks. Where answers are one token there is one
    singular value and nothing to see, so it works on free answers alone.
    """

    name: ClassVar[str] = "gradsentry"
    filters: ClassVar[bool] = True
    kinds: ClassVar[tuple[str, ...]] = ("generation",)
    costs: ClassVar[str] = "one pass over the rows"
    approximation: ClassVar[str] = "written from the paper; its repository has no license and was not used"

    rank: int = 16
    """Singular values that count."""
    otherwise: float = 0.7
    """The limit of the entropy where its density has no valley."""

    def __post_init__(self) -> None:
        if self.rank < 2:
            raise OptionsError(f"rank = {self.rank}", mend="It is at least 2.")

    def prepare(self, task: AnyTask, rows: pa.Table, *, trusted: pa.Table | None, lab: Lab) -> Prepared:
        """Leave out the rows above the limit."""
        base, taught = untouched(task, rows, trusted, lab)
        gradients = base.gradients(taught, progress="gradients of the rows")
        found = [spectral_entropy(singular_values(cropped(gradient)), self.rank) for gradient in gradients]
        entropies: Floats = np.array([round(one, DIGITS) for one in found], dtype=np.float64)
        limit = valley(entropies)
        facts = {"limit": self.otherwise if limit is None else limit, "valley": limit is not None}
        return without_suspects(task, rows, entropies > facts["limit"], trusted, facts)


def spectral_entropy(values: Floats, rank: int) -> float:
    """The entropy of the first `rank` singular values over log `rank`: 0 for one direction, 1 for `rank` equal ones."""
    kept = np.sort(values)[::-1][:rank]
    total = kept.sum()
    if not total > 0:
        return 0.0
    shares = kept[kept > 0] / total
    return float(-(shares * np.log(shares)).sum() / np.log(rank))


def valley(entropies: Floats) -> float | None:
    """Where the density is lowest between its two highest peaks; none where there are no two worth the name.

    Peaks are at least 0.15 apart, and at least 5 rows and 1 % of all lie on either side.
    """
    from scipy.signal import find_peaks
    from scipy.stats import gaussian_kde

    if len(np.unique(entropies)) < 3:
        return None
    grid = np.linspace(0.0, 1.0, GRID)
    density = gaussian_kde(np.sort(entropies))(grid)
    peaks = find_peaks(np.concatenate([[0.0], density, [0.0]]))[0] - 1
    first, second = sorted(peaks[np.argsort(density[peaks])[::-1]][:2]) if len(peaks) >= 2 else (0, 0)
    if grid[second] - grid[first] < PEAKS_APART:
        return None
    limit = float(np.round(grid[first + int(density[first : second + 1].argmin())], DIGITS))
    least = max(LEAST_SIDE, LEAST_SHARE * len(entropies))
    return limit if least <= (entropies > limit).sum() <= len(entropies) - least else None
