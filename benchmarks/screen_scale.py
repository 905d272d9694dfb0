"""How long both screens take, and how much memory, over how many rows: each size in a process of its own.

    python -m benchmarks.screen_scale                      # 10,000, 100,000 and a million rows; writes a record
    python -m benchmarks.screen_scale --rows 1000000       # one size, here and now; prints JSON

The rows are film reviews of the embedded data, the front half of one and the back half of another of the same label, so
that nearly all are different; another process writes them into a file, which is read here. One in twenty carries a
sentence and the other label. Naming what was found is part of
the first screen. No referee refuses: for what comes after it (second screen, another reserve, second screen, a last
referee), nine in ten of the planted rows outside the reserve are refused, and one in ten of the others, by
chance. What it makes of the texts are random numbers, as wide as SmolLM2's; drawing them is not counted.
"""

from __future__ import annotations

import argparse
import datetime
import json
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from antivenom.core.arrays import BoolArray, Floats, States
from antivenom.core.files import write_json
from antivenom.core.hashing import row_keys
from antivenom.data.query import whole_texts
from antivenom.data.rows import table_of
from antivenom.defenses.standard.decide import more_suspicious
from antivenom.defenses.standard.disagreement import Suspects, find_suspects
from antivenom.defenses.standard.referee import Referee
from antivenom.defenses.standard.refusals import RefusalCounts
from antivenom.screening.evidence import explain
from antivenom.screening.screen import Screening, least_suspicious, screen
from benchmarks.harness import machine
from benchmarks.reviews import reviews

SIZES = (10_000, 100_000, 1_000_000)
LABELS = ("negative", "positive")
RATIO, AVOID, LIMIT = 0.3, 0.2, 3.0
"""What the recipe `standard` takes and keeps out, and its `refusal_limit`."""
WIDTH = 576
DRAWN = 10_000
POISONED = 0.05
REFUSED, REFUSED_WRONGLY = 0.9, 0.1


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
        first, second, most = one["seconds"], one["seconds_second_screen"], one["peak_mib"]
        worked = one["processor_seconds"] + one["processor_seconds_second_screen"]
        print(
            f"{one['rows']:>9,} rows: {first:>6.1f} s, {second:>6.1f} s behind the referee, {worked:>6.1f} processor"
            f" seconds, {most:>5.0f} MiB at most"
        )
    return 0


def measure(count: int) -> dict[str, Any]:
    """Screen so many rows, and look at what a referee would have refused."""
    table, poisoned = _rows_in_file(count)
    before = _peak()
    start = _clocks()
    screening = screen(table, LABELS, seed=0)
    reserve = least_suspicious(table, screening, RATIO, avoid=AVOID, seed=0)
    findings = [finding.what for finding in explain(table, screening, seed=0).findings]
    first = _clocks() - start
    states = _drawn_states(count)
    start = _clocks()
    reserve = _choose_again(table, screening, reserve, refusals(count, poisoned), states)
    refused, found = _look_again(table, screening, reserve, refusals(count, poisoned), states)
    suspect = found.rows
    keys, doubtful = row_keys(whole_texts(table), seed=0, purpose="referee"), suspect | refused
    second = Referee.of(states, screening.classes, len(LABELS), keys, ~doubtful)
    again = _clocks() - start
    return {
        "rows": count,
        "seconds": round(float(first[0]), 2),
        "seconds_second_screen": round(float(again[0]), 2),
        "processor_seconds": round(float(first[1]), 2),
        "processor_seconds_second_screen": round(float(again[1]), 2),
        "peak_mib": round(_peak(), 1),
        "peak_mib_before": round(before, 1),
        "text_mib": round(table.column("text").nbytes / 2**20, 1),
        "reserve": int(reserve.sum()),
        "poisoned": len(poisoned),
        "poisoned_in_reserve": int(reserve[poisoned].sum()),
        "poisoned_suspect": int(suspect[poisoned].sum()),
        "others_suspect": int(suspect.sum() - suspect[poisoned].sum()),
        "findings": findings,
        "read_again": int((second.leads(screening.classes)[doubtful] > 0).sum()),
    }


def _choose_again(
    table: pa.Table, screening: Screening, reserve: BoolArray, refused: BoolArray, states: States
) -> BoolArray:
    """Another reserve, as `Joining.choose_again` has it; nothing else of this look is kept."""
    refused, found = _look_again(table, screening, reserve, refused, states)
    screening = more_suspicious(screening, found.evidence, refused)
    return least_suspicious(table, screening, RATIO, avoid=AVOID, seed=0)


def _look_again(
    table: pa.Table, screening: Screening, reserve: BoolArray, refused: BoolArray, states: States
) -> tuple[BoolArray, Suspects]:
    """The second screen: which rows of those outside the reserve are refused, and which are suspect."""
    counts = RefusalCounts.of(table, screening, ~reserve, refused)
    found = find_suspects(counts, states, LIMIT, accepted=~counts.refused, seed=0)
    return counts.refused, found


def refusals(count: int, poisoned: np.ndarray) -> np.ndarray:
    """Which rows are refused."""
    drawn, chance = np.random.default_rng(1).random(count), np.full(count, REFUSED_WRONGLY)
    chance[poisoned] = REFUSED
    refused: np.ndarray = drawn < chance
    return refused


def _rows_in_file(count: int) -> tuple[pa.Table, np.ndarray]:
    """The same as `rows_of`, without what it takes to make them."""
    with tempfile.TemporaryDirectory() as name, ProcessPoolExecutor(1, mp_context=get_context("spawn")) as other:
        path = Path(name) / "rows.arrow"
        poisoned = other.submit(_write_rows, count, path).result()
        return pa.ipc.open_file(path).read_all(), poisoned


def _write_rows(count: int, path: Path) -> np.ndarray:
    table, poisoned = rows_of(count)
    with pa.ipc.new_file(path, table.schema) as file:
        file.write_table(table)
    return poisoned


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


def _drawn_states(count: int) -> States:
    """Random numbers, drawn some rows at a time, so that drawing them takes no memory that is not theirs."""
    rng, states = np.random.default_rng(2), np.empty((count, WIDTH), dtype=np.float16)
    for first in range(0, count, DRAWN):
        some = states[first : first + DRAWN]
        some[:] = rng.standard_normal(some.shape, dtype=np.float32)
    return states


def _clocks() -> Floats:
    """Seconds that passed, and seconds that the processors worked for this process: the first are more where others
    use the machine.
    """
    return np.array([time.perf_counter(), time.process_time()])


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _in_process(rows: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.screen_scale", "--rows", str(rows)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    raise SystemExit(main())
