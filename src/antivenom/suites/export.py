"""One line a cell with every number, for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from antivenom.core.claims import named_outputs
from antivenom.core.console import spreadsheet_cell
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


def export_cells(results: Path, out: Path, *, force: bool = False) -> int:
    """Write the cells of a results folder as CSV or Parquet, by the ending of `out`.

    Args:
        results: The folder of results.
        out: The file.
        force: Whether a file that is there may be replaced.

    Returns:
        How many cells there are, finished or not.

    Raises:
        ArtifactError: the file is there.
        OptionsError: the ending is neither.
    """
    with named_outputs({"--out": str(out)}, "bench export", force=force):
        return write_cells(results, out)


def write_cells(results: Path, out: Path) -> int:
    """Write the cells into a folder that is ours; see `export_cells`."""
    table = pa.Table.from_pylist([_flat(line) for line in lines_of(results)])
    with atomic_write(out, "wb") as file:
        if out.suffix == ".parquet":
            import pyarrow.parquet as pq

            pq.write_table(table, file)
        elif out.suffix == ".csv":
            from pyarrow import csv

            csv.write_csv(_without_formulas(table), file)
        else:
            raise OptionsError(f"{out}: cells are written as .csv or .parquet", mend="Choose one of these endings.")
    count: int = table.num_rows
    return count


def _without_formulas(table: pa.Table) -> pa.Table:
    """The table with an apostrophe in front of every cell that a spreadsheet would compute."""
    for number, name in enumerate(table.column_names):
        if pa.types.is_string(table.schema.field(name).type):
            cells = [cell if cell is None else spreadsheet_cell(cell) for cell in table.column(name).to_pylist()]
            table = table.set_column(number, name, pa.array(cells, pa.string()))
    return table


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
