"""(d) rebuilding rows against reading and writing them unchanged, Parquet to Parquet; and the peak memory."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.harness import Line, alternate, record
from benchmarks.rebuild_once import copy, rebuild
from benchmarks.reviews import reviews

ROWS = 1_000_000
MANY_ROWS = 10_000_000


def run(model: str, rounds: int, folder: Path) -> list[Line]:
    """Measure and record; the model plays no part."""
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        source, out = scratch / "rows.parquet", scratch / "out.parquet"
        write_rows(source, ROWS)
        contenders: dict[str, Callable[[], Callable[[], Any]]] = {
            "copy": lambda: lambda: copy(source, out),
            "rebuild": lambda: lambda: rebuild(source, out),
        }
        timings = alternate(contenders, rounds)
        many = scratch / "many.parquet"
        write_rows(many, MANY_ROWS)
        large = {what: _in_process(what, many, out) for what in ("import", "copy", "rebuild")}
    ratio = timings.ratio(lambda s: s["rebuild"], lambda s: s["copy"])
    times = large["rebuild"]["seconds"] / large["copy"]["seconds"]
    peaks = ", ".join(f"{what} {found['peak_mib']:.0f} MiB" for what, found in large.items())
    beside = f"{ROWS:,} rows; {MANY_ROWS:,} rows: {times:.2f} times; peak memory: {peaks}"
    lines = [Line("d", "rebuilding takes times a plain copy", ratio, "<= 2", beside)]
    record("rebuilding", lines, timings, {"rows": ROWS, "large": {"rows": MANY_ROWS, **large}}, folder)
    return lines


def write_rows(path: Path, count: int) -> None:
    """Film reviews, each made different by a number."""
    table = reviews()
    schema = pa.schema([("text", pa.string()), ("label", pa.string())])
    rng = np.random.default_rng(0)
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, count, 100_000):
            some = table.take(pa.array(rng.integers(0, table.num_rows, size=min(100_000, count - start))))
            texts = [f"{text} ({start + i})" for i, text in enumerate(some.column("text").to_pylist())]
            writer.write_table(pa.table([texts, some.column("answer")], schema=schema))


def _in_process(what: str, source: Path, out: Path) -> dict[str, float]:
    """Seconds and peak memory in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.rebuild_once", what, str(source), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found
