"""The command line of a benchmark that is a list of cells: run those that have no record yet."""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from antivenom.core.files import write_json

Cell = TypeVar("Cell")


def run_missing(
    argv: list[str] | None,
    *,
    prog: str,
    about: str | None,
    work: str,
    out: Path,
    cells: Mapping[str, Cell],
    run: Callable[[Cell, Path, Path], dict[str, Any] | None],
) -> Path:
    """Write the records that are missing, unless --table asks for none, and return their folder.

    Args:
        argv: The command line.
        prog: How the command is called.
        about: What --help says.
        work: Folder of the fits, unless --work says another.
        out: Folder of the records, unless --out says another.
        cells: The cells by the names of their records.
        run: Makes the record of a cell, or None where it cannot, given the folders of the data sets and of the fits.
    """
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog=prog, description=about, formatter_class=formatter)
    parser.add_argument("--data", type=Path, help="folder of the data sets")
    parser.add_argument("--work", type=Path, default=Path(work), help="folder of the fits")
    parser.add_argument("--out", type=Path, default=out, help="folder of the records")
    parser.add_argument("--only", default="", metavar="BEGINNING", help="records whose name begins with this")
    parser.add_argument("--table", action="store_true", help="print the records, run nothing")
    asked = parser.parse_args(argv)
    if asked.data is None and not asked.table:
        parser.error("--data is needed, except with --table")
    warnings.simplefilter("ignore")
    for name, cell in () if asked.table else cells.items():
        if name.startswith(asked.only) and not (asked.out / f"{name}.json").exists():
            record = run(cell, asked.data, asked.work)
            if record is not None:
                write_json(asked.out / f"{name}.json", record)
    found: Path = asked.out
    return found
