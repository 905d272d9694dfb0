"""From a command's options to prepared rows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from antivenom.cli.options import DefenseOptions, RowOptions, TaskOptions
from antivenom.cli.tables import show_report
from antivenom.defenses import Defense, Prepared
from antivenom.files import digest_of_files
from antivenom.report import Report
from antivenom.task import Classification


@dataclass(frozen=True)
class Intake:
    """Rows that passed every check, and what is to be done with them."""

    task: Classification
    table: pa.Table
    trusted: pa.Table | None
    defense: Defense
    report: Report


def take_rows(
    source: str, row_options: RowOptions, task_options: TaskOptions, defense_options: DefenseOptions
) -> Intake:
    """Load and check rows, showing the report of what was found in them."""
    defense = defense_options.choose()
    loaded = row_options.load(source)
    task = task_options.task(loaded.labels)
    trusted = None
    if defense_options.trusted is not None:
        vouched = row_options.load(defense_options.trusted, labels=task.labels)
        trusted = row_options.accept(vouched, task.labels, vouched.report)
    defense.check(task, loaded.table, loaded.report)
    table = row_options.accept(loaded, task.labels, loaded.report)
    show_report(loaded.report)
    return Intake(task, table, trusted, defense, loaded.report)


def prepare_rows(
    source: str, row_options: RowOptions, task_options: TaskOptions, defense_options: DefenseOptions, seed: int
) -> tuple[Prepared, dict[str, Any]]:
    """Load, check and prepare rows.

    Returns:
        The prepared rows, and what the manifest says about their source.
    """
    taken = take_rows(source, row_options, task_options, defense_options)
    prepared = taken.defense.prepare(taken.task, taken.table, trusted=taken.trusted, seed=seed)
    return prepared, {"defense": taken.defense.name, "report": _totals(taken.report), **_source(source)}


def _source(source: str) -> dict[str, Any]:
    path = Path(source)
    return {"source": path.name, "source_sha256": digest_of_files([path])} if path.is_file() else {"source": source}


def _totals(report: Report) -> dict[str, Any]:
    return {key: value for key, value in report.to_dict().items() if key != "findings"}
