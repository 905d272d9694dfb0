"""How often something pulls the model out of its guarded space, and whether that is more than it was when measured.

On held-out rows a guarded model leaves its space now and then. When clients' requests make it leave much more often
(an attack in use) or never (another model than the one that was measured), that is an alarm.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from antivenom.core.intervals import wilson

WINDOW = 500
"""Answers that are looked at together."""
FEWEST = 50
"""Answers below which nothing is said."""
MINUTES = 180
SURE = 3.29
"""Standard deviations of the interval: one false alarm in 1,000 windows."""


@dataclass(frozen=True)
class Band:
    """Where the share of escapes is expected."""

    low: float
    high: float

    @classmethod
    def measured(cls, escapes: int, answers: int) -> Band:
        """The Wilson interval (99.9 %) around what was measured on held-out rows."""
        return cls(*wilson(escapes, answers, SURE))


class EscapeMonitor:
    """Counts escapes, over all and over the last answers, and minute by minute."""

    def __init__(self, band: Band | None = None, *, clock: Callable[[], float] = time.time) -> None:
        """Compare with `band`, if one was measured."""
        self.band = band
        self.answers = self.escapes = 0
        self._last: deque[bool] = deque(maxlen=WINDOW)
        self._clock = clock
        self._minutes: dict[int, tuple[int, int]] = {}

    def add(self, escaped: bool) -> bool:
        """Count one answer; return whether the alarm is on now."""
        self.answers += 1
        self.escapes += escaped
        self._last.append(escaped)
        minute = int(self._clock() // 60)
        answers, escapes = self._minutes.get(minute, (0, 0))
        self._minutes[minute] = (answers + 1, escapes + escaped)
        if len(self._minutes) > MINUTES:
            self._minutes.pop(min(self._minutes))
        return self.alarm

    @property
    def alarm(self) -> bool:
        """Whether the share of escapes in the last answers is outside the band, beyond chance."""
        if self.band is None or len(self._last) < FEWEST:
            return False
        low, high = wilson(sum(self._last), len(self._last), SURE)
        return low > self.band.high or high < self.band.low

    @property
    def recent(self) -> float:
        """The share of escapes in the last answers."""
        return sum(self._last) / len(self._last) if self._last else 0.0

    def minutes(self) -> list[tuple[int, int, int]]:
        """(minutes ago, answers, escapes) of each minute that had answers, the oldest first."""
        now = int(self._clock() // 60)
        return [(now - minute, *counts) for minute, counts in sorted(self._minutes.items())]
