"""How far a long run is, on standard error: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from antivenom.core.console import printable, warn

Advance = Callable[[int], None]
"""Says that so many more are done."""
EVERY = 30.0
"""Seconds between two lines of a log."""


@contextlib.contextmanager
def progress_bar(what: str | None, *, total: int | None, unit: str = "text") -> Iterator[Advance]:
    """Show how many are done while the block runs.

    Args:
        what: What is done; nothing is shown without it.
        total: How many there are, if that is known.
        unit: What one of them is called.

    Yields:
        A function that takes how many more are done.
    """
    if what is None:
        yield lambda count: None
    elif sys.stderr is not None and sys.stderr.isatty():
        with _bar(printable(what), total, unit) as advance:
            yield advance
    else:
        log = _Log(printable(what), total, unit)
        yield log.advance
        log.end()


@contextlib.contextmanager
def _bar(what: str, total: int | None, unit: str) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn(unit + "s"), TimeElapsedColumn(), TimeRemainingColumn())
    console = Console(file=sys.stderr)
    with Progress(TextColumn("{task.description}", markup=False), *columns, console=console) as bar:
        task = bar.add_task(what, total=total)
        yield lambda count: bar.advance(task, count)


@dataclass
class _Log:
    """Lines for streams that are no terminal: none for short runs, one every `EVERY` seconds for long ones."""

    what: str
    total: int | None
    unit: str
    done: int = 0
    start: float = field(default_factory=time.monotonic)
    said: float = 0.0
    """When the last line was printed; 0 before the first."""

    def advance(self, count: int) -> None:
        self.done += count
        if time.monotonic() - max(self.start, self.said) >= EVERY:
            self.said = time.monotonic()
            warn(self._line())

    def end(self) -> None:
        if self.said:
            warn(f"{self.what}: {self.done} {self.unit}s in {duration(time.monotonic() - self.start)}")

    def _line(self) -> str:
        if not self.total:
            return f"{self.what}: {self.done} {self.unit}s"
        left = (time.monotonic() - self.start) * (self.total - self.done) / max(1, self.done)
        return f"{self.what}: {self.done} of {self.total} {self.unit}s, about {duration(left)} left"


@dataclass
class Stages:
    """The stages of a run: `fit 2 of 2: model (about 4 min left)`.

    The estimate is of the whole run: what the stages took so far, by what is left of their sizes.
    """

    what: str
    """What a stage is, such as `fit`."""
    sizes: dict[str, float]
    """Each stage, in order, and how much work it is beside the others (steps times rows, say)."""
    quiet: bool = False
    """Say nothing."""
    clock: Callable[[], float] = time.monotonic
    """Tells the seconds; another one for tests."""
    _done: dict[str, float] = field(default_factory=dict)
    """Finished stages and the seconds that they took."""

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Announce a stage and time it; one that nobody foresaw is counted as the size of the largest."""
        self.sizes.setdefault(name, max(self.sizes.values(), default=1.0))
        if not self.quiet:
            warn(self.headline(name))
        start = self.clock()
        yield
        self._done[name] = self.clock() - start

    def headline(self, name: str) -> str:
        """What is said when a stage begins."""
        left = self.seconds_left()
        estimate = "" if left is None else f" (about {duration(left)} left)"
        return f"{self.what} {len(self._done) + 1} of {len(self.sizes)}: {name}{estimate}"

    def seconds_left(self) -> float | None:
        """An estimate of what is left of the whole run; none before the first stage ended."""
        size = sum(self.sizes[name] for name in self._done)
        if not size:
            return None
        left = sum(self.sizes.values()) - size
        return sum(self._done.values()) * left / size


def duration(seconds: float) -> str:
    """A time as people say it: `40 s`, `4 min`, `2 h 10 min`."""
    if seconds < 90:
        return f"{max(0, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
