"""How much memory `antivenom inspect` takes where it is called, with `--ray` and without, over how many rows.

    python -m benchmarks.inspect_scale                # writes a record; needs the extra `ray`

The rows are those of `screen_scale`, in files of 10,000. Each run is a process of its own, and its largest memory is
read when it ends; with `--ray local` the workers are processes beside it, the largest of which is looked for twice a
second. What both print must be the same.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from antivenom.core.files import write_json
from benchmarks.harness import machine
from benchmarks.screen_scale import rows_of

SIZES = (50_000, 200_000)
EACH = 10_000
SHOWN = "import resource, sys; from antivenom.cli import main; main(sys.argv[1:]);"
SHOWN += "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)"


def main(argv: list[str] | None = None) -> int:
    """Measure every size, with a cluster and without."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.inspect_scale", description=__doc__)
    parser.add_argument("--rows", type=int, nargs="*", default=SIZES, help="the sizes")
    parser.add_argument("--out", type=Path, default=Path("results/bench"), help="folder of the record")
    asked = parser.parse_args(argv)
    found = [_measure(rows) for rows in asked.rows]
    stamp = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%S")
    command = "python -m benchmarks.inspect_scale"
    write_json(asked.out / f"inspect_scale-{stamp}.json", {"command": command, "sizes": found, "machine": machine()})
    return 0


def _measure(rows: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        table, _ = rows_of(rows)
        for number, first in enumerate(range(0, rows, EACH)):
            pq.write_table(table.slice(first, EACH).drop(["row"]), Path(folder) / f"part-{number:05}.parquet")
        del table
        alone, with_ray = _run(folder), _run(folder, "--ray", "local")
    found = {"rows": rows, "same_output": alone.pop("output") == with_ray.pop("output")}
    found |= {"alone": alone, "with_ray": with_ray}
    print(found, flush=True)
    return found


def _run(folder: str, *more: str) -> dict[str, Any]:
    """One run: its memory and that of the largest worker, in MiB."""
    command = [sys.executable, "-c", SHOWN, "inspect", folder, "--seed", "5", "--json", *more]
    start, worker = time.perf_counter(), 0
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        with subprocess.Popen(command, stdout=output, stderr=errors) as running:
            while running.poll() is None:
                worker = max(worker, _largest_worker())
                time.sleep(0.5)
        output.seek(0)
        errors.seek(0)
        digest, last = hashlib.sha256(output.read()).hexdigest(), errors.read().split()[-1]
    found = {"peak_mib": int(last) // 1024, "seconds": round(time.perf_counter() - start), "output": digest}
    return found | ({"largest_worker_mib": worker // 1024} if more else {})


def _largest_worker() -> int:
    """The memory, in KiB, of the largest process that calls itself a worker of Ray."""
    found = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cmdline").read_bytes().startswith(b"ray::"):
                status = (process / "status").read_text()
                found = max(found, int(status.partition("VmHWM:")[2].split()[0]))
        except (OSError, IndexError):
            continue  # it has ended
    return found


if __name__ == "__main__":
    raise SystemExit(main())
