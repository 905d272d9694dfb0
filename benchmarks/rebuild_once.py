"""One rebuild, or one plain copy, in a process of its own: `python -m benchmarks.rebuild_once rebuild SOURCE OUT`."""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq

from antivenom.data.row_stream import USUAL, open_stream, take_census
from antivenom.training.streaming import Plan, immunize_stream
from benchmarks.reviews import DEFENSE, TASK


def copy(source: Path, out: Path) -> None:
    """Read and write, batch after batch."""
    file = pq.ParquetFile(source, buffer_size=2**20, pre_buffer=False)
    with file, pq.ParquetWriter(out, file.schema_arrow) as writer:
        for batch in file.iter_batches(batch_size=USUAL.batch_rows):
            writer.write_batch(batch)


def rebuild(source: Path, out: Path) -> None:
    """The two passes of P2P with a reserve drawn from the rows."""
    stream = open_stream(source)
    census = take_census(stream, seed=0)
    immunize_stream(stream, census, Plan.of(stream, census, DEFENSE, TASK), out)


def main(what: str, source: str, out: str) -> None:
    """Print seconds and peak memory as JSON; `import` does nothing but import."""
    start = time.perf_counter()
    if what != "import":
        {"copy": copy, "rebuild": rebuild}[what](Path(source), Path(out))
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": round(seconds, 2), "peak_mib": round(peak, 1)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
