"""The live table of a run: what is done, running and failed, how long the rest takes, and what it has cost."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from antivenom.core.console import printable, warn
from antivenom.suites.executors import Event
from antivenom.suites.record import Results

SHOWN = 8
"""Running cells that are named."""


@dataclass
class Spent:
    """The ledger of a run, summed over its cells."""

    seconds: float = 0.0
    tokens: int = 0
    peak_memory_mib: float = 0.0

    def add(self, ledger: Any) -> None:
        """Add a cell; of memory the largest counts."""
        self.seconds += ledger.seconds
        self.tokens += ledger.tokens
        self.peak_memory_mib = max(self.peak_memory_mib, ledger.peak_memory_mib, ledger.peak_gpu_mib)

    def __str__(self) -> str:
        memory = f"{self.peak_memory_mib / 1024:.1f} GiB at most"
        return f"{duration(self.seconds)} of cells, {self.tokens:,} tokens trained, {memory}"


class Progress:
    """Shows a run on standard error: a live table on a terminal, a line a cell elsewhere."""

    def __init__(self, results: Results, names: dict[str, str], *, jobs: int, done: int, quiet: bool) -> None:
        """Start counting: `done` cells were finished before, `jobs` are to run."""
        self.results, self.names, self.jobs, self.before = results, names, jobs, done
        self.since = time.monotonic()
        self.running: dict[str, float] = {}
        self.finished, self.failed, self.spent = 0, 0, Spent()
        self._quiet, self._live = quiet, None if quiet or not sys.stderr.isatty() else self._start()

    def note(self, event: Event) -> None:
        """Take an event in and show it."""
        if event.kind == "started":
            self.running[event.key] = time.monotonic()
        else:
            self._finish(event.key)
        if self._live is not None:
            self._live.update(self._table())

    def rest(self) -> float | None:
        """Seconds that the rest will take if it goes on as it did so far; None before the first cell is finished."""
        if not self.finished:
            return None
        left = self.jobs - self.finished - self.failed
        return (time.monotonic() - self.since) / self.finished * left

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def _finish(self, key: str) -> None:
        self.running.pop(key, None)
        if self.results.is_done(key):
            self.finished += 1
            self.spent.add(self.results.read(key).ledger)
            said = "done"
        else:
            self.failed += 1
            said = f"FAILED: {self.results.failure(key).splitlines()[0] if self.results.failure(key) else 'no reason'}"
        if self._live is None and not self._quiet:
            rest = self.rest()
            left = "" if rest is None else f", about {duration(rest)} left"
            counts = f"[{self.finished + self.failed}/{self.jobs}{left}]"
            warn(f"{counts} {self.names.get(key, key)}: {said}")

    def _start(self) -> Any:
        from rich.console import Console
        from rich.live import Live

        live = Live(self._table(), console=Console(stderr=True), refresh_per_second=2, transient=False)
        live.start()
        return live

    def _table(self) -> Any:
        from rich.markup import escape
        from rich.table import Table

        table = Table(show_header=False, box=None)
        rest = self.rest()
        waiting = self.jobs - self.finished - self.failed - len(self.running)
        counts = (
            f"{self.before + self.finished} done, {len(self.running)} running, {self.failed} failed, {waiting} wait"
        )
        table.add_row("cells", counts)
        table.add_row("left", "-" if rest is None else f"about {duration(rest)}")
        table.add_row("spent", str(self.spent))
        for key, since in list(self.running.items())[:SHOWN]:
            table.add_row(
                "now", f"{escape(printable(self.names.get(key, key)))} ({duration(time.monotonic() - since)})"
            )
        return table


def duration(seconds: float) -> str:
    """Seconds as people say them: 45 s, 12 min, 3.4 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
