"""Run two or more ways of doing the same work alternately in one process, and record the ratios."""

from __future__ import annotations

import datetime
import gc
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from antivenom.core.files import write_json

PACKAGES = ("antivenom", "torch", "transformers", "peft", "trl", "accelerate", "pyarrow", "numpy")


@dataclass
class Timings:
    """Seconds of every contender in every round."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    results: dict[str, Any] = field(default_factory=dict)
    """What every contender returned the last time."""

    def ratio(self, usual: Callable[[dict[str, float]], float], ours: Callable[[dict[str, float]], float]) -> Ratio:
        """How many times longer the usual way takes, round by round."""
        rounds = [dict(zip(self.seconds, values, strict=True)) for values in zip(*self.seconds.values(), strict=True)]
        found = [usual(seconds) / ours(seconds) for seconds in rounds]
        return Ratio(statistics.median(found), min(found), max(found))


@dataclass(frozen=True)
class Ratio:
    """Median, smallest and largest of the rounds."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f} to {self.high:.2f})"


@dataclass(frozen=True)
class Line:
    """One line of the table."""

    row: str
    what: str
    ratio: Ratio
    target: str
    beside: str
    """What else has to be known to trust the ratio."""


def alternate(
    contenders: dict[str, Callable[[], Callable[[], Any]]],
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
    *,
    uncounted: int = 1,
) -> Timings:
    """Time every contender once per round, in an order that turns round each time.

    The first `uncounted` rounds do not count: a process is slow at first, by seconds that matter less to longer work.
    A contender is called to get ready, which is not timed, and returns what is. `time.process_time` as the clock counts
    seconds of the processor: on a machine that others use, and for work of one process.
    """
    timings = Timings({name: [] for name in contenders})
    for number in range(rounds + uncounted):
        names = list(contenders) if number % 2 else list(reversed(contenders))
        for name in names:
            timings.results.pop(name, None)
            work = contenders[name]()
            gc.collect()
            start = clock()
            timings.results[name] = work()
            seconds = clock() - start
            print(f"  round {number}: {name} {seconds:.2f} s", flush=True)
            if number >= uncounted:
                timings.seconds[name].append(seconds)
    return timings


def record(name: str, lines: list[Line], timings: Timings, settings: dict[str, Any], folder: Path) -> None:
    """Keep everything about one benchmark in a file of its own; records are added, never edited."""
    now = datetime.datetime.now(datetime.UTC)
    data = {
        "benchmark": name,
        "date": now.isoformat(timespec="seconds"),
        "commit": _commit(),
        "machine": machine(),
        "versions": {package: found for package in PACKAGES if (found := _version(package))},
        "settings": settings,
        "seconds": {key: [round(s, 4) for s in values] for key, values in timings.seconds.items()},
        "lines": [
            {"row": at.row, "what": at.what, "ratio": vars(at.ratio), "target": at.target, "beside": at.beside}
            for at in lines
        ],
    }
    write_json(folder / f"{name}-{now:%Y%m%dT%H%M%S}.json", data)


def table(lines: list[Line]) -> str:
    """The lines as Markdown."""
    head = ["| | what | ratio: median (min to max) | target | beside |", "|---|---|---|---|---|"]
    return "\n".join(head + [f"| {at.row} | {at.what} | {at.ratio} | {at.target} | {at.beside} |" for at in lines])


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    import torch

    info = Path("/proc/cpuinfo")
    names = [s for s in info.read_text().splitlines() if s.startswith("model name")] if info.exists() else []
    return {
        "cpu": names[0].partition(":")[2].strip() if names else platform.processor(),
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "platform": platform.platform(),
        "python": platform.python_version(),
        "load_before": os.getloadavg()[0],
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> str:
    done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip()
