"""Counts and times in Prometheus' text format. No text of a request and no name of a key is in them."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate

from antivenom.serving.escapes import EscapeMonitor

BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Seconds."""
MASSES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 0.5, 0.9)
"""Probability mass."""
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Histogram:
    """How often a value was at most each of some bounds."""

    def __init__(self, bounds: Sequence[float]) -> None:
        """Count below these bounds."""
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        """Count one value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self.total += value

    @property
    def count(self) -> int:
        """How many values there were."""
        return sum(self._counts)

    def quantile(self, share: float) -> float:
        """The least bound that at least this share of the values does not exceed; infinite above all bounds."""
        wanted = share * self.count
        for bound, below in zip(self._bounds, accumulate(self._counts), strict=False):
            if below >= wanted:
                return bound
        return float("inf")

    def lines(self, name: str) -> list[str]:
        """The lines of Prometheus' text format."""
        bounds = [*(f"{bound:g}" for bound in self._bounds), "+Inf"]
        pairs = zip(bounds, accumulate(self._counts), strict=True)
        buckets = [f'{name}_bucket{{le="{bound}"}} {count}' for bound, count in pairs]
        return [f"# TYPE {name} histogram", *buckets, f"{name}_sum {self.total:.6f}", f"{name}_count {self.count}"]


class Metrics:
    """What a service counts."""

    def __init__(self, monitor: EscapeMonitor) -> None:
        """Begin at zero; escapes are counted by the monitor."""
        self.monitor = monitor
        self.responses: Counter[int] = Counter()
        self.running = 0
        self.tokens: Counter[str] = Counter()
        self.gone = 0
        """Clients that left before their answer was there."""
        self.seconds = Histogram(BOUNDS)
        """From the first byte of a request to the last of its answer."""
        self.first_seconds = Histogram(BOUNDS)
        """From the request to the first word of its answer."""
        self.own_seconds = Histogram(BOUNDS)
        """What the service itself took of an answer: all time in which nobody else was waited for."""
        self.mass = Histogram(MASSES)
        """The probability mass outside the guarded labels."""

    def render(self) -> str:
        """All of it in Prometheus' text format."""
        monitor = self.monitor
        lines = ["# TYPE antivenom_responses_total counter"]
        lines += [f'antivenom_responses_total{{status="{s}"}} {n}' for s, n in sorted(self.responses.items())]
        lines += ["# TYPE antivenom_tokens_total counter"]
        lines += [f'antivenom_tokens_total{{kind="{kind}"}} {n}' for kind, n in sorted(self.tokens.items())]
        lines += _one("antivenom_clients_gone_total", "counter", self.gone)
        lines += _one("antivenom_requests_running", "gauge", self.running)
        lines += _one("antivenom_answers_total", "counter", monitor.answers)
        lines += _one("antivenom_escapes_total", "counter", monitor.escapes)
        lines += _one("antivenom_escape_rate_recent", "gauge", monitor.recent)
        lines += _one("antivenom_escape_alarm", "gauge", int(monitor.alarm))
        if monitor.band is not None:
            lines += _one("antivenom_escape_band_low", "gauge", monitor.band.low)
            lines += _one("antivenom_escape_band_high", "gauge", monitor.band.high)
        lines += self.seconds.lines("antivenom_request_seconds")
        lines += self.first_seconds.lines("antivenom_first_word_seconds")
        lines += self.own_seconds.lines("antivenom_own_seconds")
        lines += self.mass.lines("antivenom_escape_mass")
        return "\n".join(lines) + "\n"


def _one(name: str, kind: str, value: float) -> list[str]:
    return [f"# TYPE {name} {kind}", f"{name} {value:g}"]
