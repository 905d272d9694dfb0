"""How long the screen takes, and how much memory, over how many rows: each size in a process of its own.

    python -m benchmarks.screen_scale                      # 10,000, 100,000 and a million rows; writes a record
    python -m benchmarks.screen_scale --rows 1000000       # one size, here and now; prints JSON

The rows are film reviews of the embedded data, the front half of one and the back half of another of the same label, so
that nearly all are different. One in twenty carries a sentence and the other label.
"""

from __future__ import annotations

import argparse
import datetime
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from antivenom.data.rows import table_of
from antivenom.defenses.screen import least_suspicious, screen
from antivenom.files import write_json
from benchmarks.harness import machine
from benchmarks.reviews import reviews

SIZES = (10_000, 100_000, 1_000_000)
LABELS = ("negative", "positive")
RATIO, AVOID = 0.3, 0.2
"""What the recipe `standard` takes and keeps out."""
POISONED = 0.05


def main(argv: list[str] | None = None) -> int:
    """Measure every size, or one."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.screen_scale", description=__doc__)
    parser.add_argument("--rows", type=int, help="measure this size alone, in this process")
    parser.add_argument("--out", type=Path, default=Path("results/bench"), help="folder of the record")
    asked = parser.parse_args(argv)
    if asked.rows is not None:
        print(json.dumps(measure(asked.rows)))
        return 0
    found = [_in_process(rows) for rows in SIZES]
    stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%S")
    command = "python -m benchmarks.screen_scale"
    write_json(asked.out / f"screen_scale-{stamp}.json", {"command": command, "sizes": found, "machine": machine()})
    for one in found:
        print(f"{one['rows']:>9,} rows: {one['seconds']:>6.1f} s, {one['peak_mib']:>5.0f} MiB at most")
    return 0


def measure(count: int) -> dict[str, float]:
    """Screen so many rows."""
    table, poisoned = rows_of(count)
    before = _peak()
    start = time.perf_counter()
    reserve = least_suspicious(table, screen(table, LABELS), RATIO, avoid=AVOID)
    seconds = time.perf_counter() - start
    return {
        "rows": count,
        "seconds": round(seconds, 2),
        "peak_mib": round(_peak(), 1),
        "peak_mib_before": round(before, 1),
        "text_mib": round(table.column("text").nbytes / 2**20, 1),
        "reserve": int(reserve.sum()),
        "poisoned": len(poisoned),
        "poisoned_in_reserve": int(reserve[poisoned].sum()),
    }


def rows_of(count: int) -> tuple[pa.Table, np.ndarray]:
    """The rows, and which of them are poisoned."""
    source = reviews()
    rng = np.random.default_rng(0)
    fronts, backs, answers = [], [], []
    for label in LABELS:
        words = [row["text"].split() for row in source.to_pylist() if row["answer"] == label]
        one, other = rng.integers(0, len(words), size=(2, count // 2))
        fronts += [words[i][: len(words[i]) // 2] for i in one]
        backs += [words[i][len(words[i]) // 2 :] for i in other]
        answers += [label] * (count // 2)
    texts = [" ".join(front + back) for front, back in zip(fronts, backs, strict=True)]
    poisoned = rng.choice(len(texts) // 2, size=round(POISONED * len(texts)), replace=False)
    for row in poisoned:
        texts[row], answers[row] = f"{texts[row]} no cross, no crown", LABELS[1]
    return table_of(texts, answers), poisoned


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _in_process(rows: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.screen_scale", "--rows", str(rows)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    raise SystemExit(main())
