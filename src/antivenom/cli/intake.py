"""From a command's options to prepared rows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from antivenom.cli.options import DefenseOptions, RowOptions, TaskOptions, split_names
from antivenom.cli.tables import show_report
from antivenom.defenses import Defense, Prepared
from antivenom.defenses.p2p import P2P
from antivenom.errors import OptionsError
from antivenom.export import RowFormat, write_training_rows
from antivenom.files import digest_of_files, digest_of_table
from antivenom.guard import Guard
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
    trusted = _load_trusted(row_options, defense_options, task)
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


@dataclass(frozen=True)
class Rebuilt:
    """Rows that were written for a trainer."""

    path: Path
    guard: Guard
    reserve: dict[str, Any]
    rows: int
    sha256: str
    source: dict[str, Any]


def rebuild_rows(
    source: str,
    row_options: RowOptions,
    task_options: TaskOptions,
    defense_options: DefenseOptions,
    folder: Path,
    form: RowFormat,
    seed: int,
) -> Rebuilt:
    """Rebuild rows with all checks."""
    prepared, facts = prepare_rows(source, row_options, task_options, defense_options, seed)
    path = write_training_rows(folder, prepared, form)
    rows = prepared.rows
    return Rebuilt(path, prepared.guard, prepared.facts, rows.num_rows, digest_of_table(rows), facts)


def rebuild_large(
    source: str,
    row_options: RowOptions,
    task_options: TaskOptions,
    defense_options: DefenseOptions,
    folder: Path,
    form: RowFormat,
    seed: int,
) -> Rebuilt:
    """Rebuild rows in two passes and bounded memory; only checks that need no memory of other rows are made.

    Raises:
        OptionsError: the defense is another one than p2p.
    """
    from antivenom.row_stream import open_stream, take_census
    from antivenom.streaming import immunize_stream

    defense = defense_options.choose()
    if not isinstance(defense, P2P):
        raise OptionsError(f"--large works with p2p, not with {defense.name}")
    stream = open_stream(source, text=row_options.text_column, answer=row_options.label_column, split=row_options.split)
    census = take_census(stream, seed=seed, labels=split_names(row_options.labels) or None)
    census.report.stop_on_errors(skip_refused=row_options.skip_refused)
    show_report(census.report)
    task = task_options.task(census.labels)
    path = folder / "train.parquet"
    trusted = _load_trusted(row_options, defense_options, task)
    done = immunize_stream(stream, census, defense, task, path, trusted=trusted, form=form)
    facts = {"defense": defense.name, "report": _totals(census.report), **_source(source)}
    return Rebuilt(path, done.guard, done.facts, done.rows, done.sha256, facts)


def _load_trusted(row_options: RowOptions, defense_options: DefenseOptions, task: Classification) -> pa.Table | None:
    if defense_options.trusted is None:
        return None
    vouched = row_options.load(defense_options.trusted, labels=task.labels)
    return row_options.accept(vouched, task.labels, vouched.report)
