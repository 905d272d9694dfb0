"""One line a cell with every number, for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from antivenom.core.errors import OptionsError
from antivenom.core.files import atomic_write
from antivenom.suites.lines import Line, lines_of

RATES = (
    "accuracy",
    "robust",
    "robust_target",
    "asr",
    "asr_extended",
    "asr_deployed",
    "floor",
    "alpha",
    "epsilon",
    "beta",
)


def export_cells(results: Path, out: Path) -> int:
    """Write the cells of a results folder as CSV or Parquet, by the ending of `out`.

    Returns:
        How many cells there are, finished or not.

    Raises:
        OptionsError: the ending is neither.
    """
    table = pa.Table.from_pylist([_flat(line) for line in lines_of(results)])
    with atomic_write(out, "wb") as file:
        if out.suffix == ".parquet":
            import pyarrow.parquet as pq

            pq.write_table(table, file)
        elif out.suffix == ".csv":
            from pyarrow import csv

            csv.write_csv(table, file)
        else:
            raise OptionsError(f"{out}: cells are written as .csv or .parquet", mend="Choose one of these endings.")
    count: int = table.num_rows
    return count


def _flat(line: Line) -> dict[str, Any]:
    """A line with names for columns; the same columns for every one."""
    record = line.record
    found: dict[str, Any] = {**line.place.to_dict(), "id": line.id, "state": line.state, "why": line.why}
    for name in RATES:
        rate = record.rate(name) if record is not None else {}
        found |= {f"{name}_{part}": rate.get(part) for part in ("hits", "total", "value", "low", "high")}
    found["excess"] = record.excess if record is not None else None
    teaching = record.teaching.to_dict() if record is not None else {}
    names = ("poisoned", "poison_taught", "poison_corrected", "honest", "honest_lost", "honest_changed")
    found |= {name: teaching.get(name) for name in names}
    left = record.teaching.left_out if record is not None else None
    found |= {"recall": left and left.recall.value, "precision": left and left.precision.value}
    ledger = record.ledger.to_dict() if record is not None else {}
    found |= {
        name: ledger.get(name)
        for name in ("seconds", "cpu_seconds", "train_seconds", "tokens", "peak_memory_mib", "peak_gpu_mib")
    }
    return found
