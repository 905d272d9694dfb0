"""From a command's options to prepared rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from antivenom.artifacts.export import RowFormat
from antivenom.artifacts.trainer_stubs import TrainerName
from antivenom.cli.options import DefenseOptions, RowOptions, TaskOptions, split_names
from antivenom.cli.tables import show_report
from antivenom.core.claims import new_output
from antivenom.core.errors import OptionsError
from antivenom.core.hashing import digest_of_files
from antivenom.core.report import Report
from antivenom.data.columns import ColumnNames
from antivenom.data.validation import check_labels
from antivenom.defenses import Defense
from antivenom.defenses.p2p import P2P
from antivenom.guards.guard import AnyTask
from antivenom.screening.inspection import Inspection, inspect_parts
from antivenom.tasks.task import Classification
from antivenom.training.immunizing import Immunized, bind_rows
from antivenom.training.training_options import TrainingOptions


@dataclass(frozen=True)
class Request:
    """What a command was asked to do with which rows."""

    source: str
    rows: RowOptions
    task: TaskOptions
    defense: DefenseOptions
    seed: int | None

    def filled(self) -> Request:
        """The request with what --task says about the task."""
        return replace(self, task=self.task.filled(self.rows.file))


@dataclass(frozen=True)
class Intake:
    """Rows that passed every check, and what is to be done with them."""

    task: AnyTask
    table: pa.Table
    trusted: pa.Table | None
    defense: Defense
    facts: dict[str, Any]
    """What the manifest says about where the rows came from."""


def take_rows(asked: Request) -> Intake:
    """Load and check rows, showing the report of what was found in them."""
    asked = asked.filled()
    defense = asked.defense.choose(asked.rows.file)
    loaded = asked.rows.load(asked.source, asked.task.labels)
    task = asked.task.task(loaded.labels, images=asked.rows.has_images, report=loaded.report)
    defense.require_task(task)
    trusted, vouched = _load_trusted(asked, task)
    defense.check(task, loaded.table, loaded.report)
    table = asked.rows.accept(loaded, task.classes, loaded.report)
    show_report(loaded.report)
    return Intake(task, table, trusted, defense, _facts(asked, defense, loaded.report, vouched, loaded.columns))


def immunize_all(
    request: Request,
    folder: Path,
    form: RowFormat,
    trainer: TrainerName | None,
    referee: str | None,
    training: TrainingOptions,
) -> tuple[Immunized, dict[str, Any]]:
    """Rewrite rows that are all in memory.

    Args:
        request: Which rows, and what to do with them.
        folder: Where they go.
        form: How they are written.
        trainer: Whose settings to write the start of.
        referee: A base model for a defense that asks one.
        training: How it is fine-tuned, for a defense that asks for that.

    Returns:
        What was written, and what is recorded about the source.
    """
    from antivenom.training.immunizing import immunize as immunize_rows

    taken = take_rows(request)
    done = immunize_rows(
        taken.task,
        taken.table,
        out=folder,
        defense=taken.defense,
        trusted=taken.trusted,
        form=form,
        trainer=trainer,
        referee=referee,
        options=training,
        seed=request.seed,
        data=taken.facts,
    )
    return done, taken.facts


def immunize_large(
    asked: Request, folder: Path, form: RowFormat, trainer: TrainerName | None, referee: str | None, *, ray: str = ""
) -> tuple[Immunized, dict[str, Any]]:
    """Rewrite rows in two passes and bounded memory; only checks that need no memory of other rows are made.

    Args:
        asked: Which rows, and what to do with them.
        folder: Where they go.
        form: How they are written.
        trainer: Whose settings to write the start of.
        referee: Refused, but taken here so that it can be.
        ray: The Ray cluster that reads the files (`core.cluster.connect`); this process does where it is empty.

    Returns:
        What was written, and what is recorded about the source.

    Raises:
        OptionsError: the defense is another one than p2p, or needs what is not there in bounded memory.
    """
    with new_output(folder, "immunize"):
        written, facts = _rebuild_large(asked, folder, form, referee, ray)
        return bind_rows(written, facts, trainer), facts


def _rebuild_large(
    asked: Request, folder: Path, form: RowFormat, referee: str | None, ray: str
) -> tuple[Immunized, dict[str, Any]]:
    from antivenom.data.row_stream import USUAL as STREAMED
    from antivenom.data.row_stream import open_stream, take_census
    from antivenom.guards.secret import draw_seed
    from antivenom.training.streaming import Plan, immunize_stream

    asked = asked.filled()
    defense, options = asked.defense.choose(asked.rows.file), asked.rows.filled()
    if not isinstance(defense, P2P):
        raise OptionsError(
            f"--large works with p2p, not with {defense.name}",
            mend="Add --defense p2p:reserve=random, or p2p with --trusted.",
        )
    if referee is not None:
        raise OptionsError("--large works without --referee, which needs all rows in memory", mend="Leave one out.")
    if options.images:
        raise OptionsError("--large works with texts alone, not with images", mend="Leave --large out.")
    if options.context_column:
        raise OptionsError("--large works with texts alone, not with --context-column")
    if asked.task.kind != "classification":
        raise OptionsError("--large works with labels, not yet with free answers", mend="Leave --large out.")
    read = replace(options.reading, batch_rows=STREAMED.batch_rows)
    stream = open_stream(asked.source, text=options.text_column, answer=options.label_column, options=read)
    seed = draw_seed() if asked.seed is None else asked.seed
    labels, sharded = split_names(options.labels) or None, None
    if ray:
        from antivenom.training.on_ray import ShardedRows

        census, sharded = ShardedRows.open(stream, ray).take_census(stream, seed=seed, labels=labels)
    else:
        census = take_census(stream, seed=seed, labels=labels)
    census.report.stop_on_errors(skip_refused=options.skip_refused)
    show_report(census.report)
    task = asked.task.task(census.labels, images=False, report=census.report)
    assert isinstance(task, Classification), task
    path = folder / "train.parquet"
    trusted, vouched = _load_trusted(asked, task)
    plan = Plan.of(stream, census, defense, task, trusted=trusted, form=form)
    immunize = partial(immunize_stream, stream) if sharded is None else sharded.immunize
    done = immunize(census, plan, path)
    columns = ColumnNames(stream.text_column, stream.answer_column)
    facts = _facts(asked, defense, census.report, vouched, columns)
    return Immunized(path, done.guard, done.facts, done.rows, done.sha256, seed), facts


def inspect_on_ray(options: RowOptions, source: str, where: str, *, seed: int | None) -> Inspection:
    """Inspect labeled rows of a folder that a Ray cluster reads and counts: what `inspect` says of all of them.

    Args:
        options: Where text and label are.
        source: A folder of files that every machine of the cluster sees.
        where: See `core.cluster.connect`.
        seed: See `inspection.inspect`.

    Raises:
        OptionsError: images or turns before the text are asked for.
    """
    from antivenom.data.row_stream import open_stream
    from antivenom.training.on_ray import ShardedRows

    own = options.filled()
    if own.images or own.context_column:
        raise OptionsError("--ray works with texts alone", mend="Leave --ray out.")
    stream = open_stream(source, text=own.text_column, answer=own.label_column, options=own.reading)
    census, rows = ShardedRows.open(stream, where).take_census(stream, seed=0, labels=split_names(own.labels) or None)
    accepted = check_labels(rows.without_texts(census), census.labels, census.report)
    census.report.stop_on_errors(skip_refused=own.skip_refused)
    return inspect_parts(rows.parts(census, census.labels), accepted, census.labels, seed=seed)


def _load_trusted(asked: Request, task: AnyTask) -> tuple[pa.Table | None, Report | None]:
    """The rows that the user vouches for, if any, checked like the others; shows what was found in them."""
    if asked.defense.trusted is None:
        return None, None
    vouched = asked.rows.load(asked.defense.trusted, labels=task.classes)
    table = asked.rows.accept(vouched, task.classes, vouched.report)
    show_report(vouched.report)
    return table, vouched.report


def _facts(
    asked: Request, defense: Defense, report: Report, vouched: Report | None, columns: ColumnNames
) -> dict[str, Any]:
    """What the manifest says about where the rows came from."""
    reports = {"report": report} if vouched is None else {"report": report, "trusted_report": vouched}
    path = Path(asked.source)
    source: dict[str, Any] = {"source": path.name}
    if path.is_file():
        source["source_sha256"] = digest_of_files([path])
    source["columns"] = columns.to_dict()
    return {"defense": str(defense), **{name: _totals(found) for name, found in reports.items()}, **source}


def _totals(report: Report) -> dict[str, Any]:
    return {key: value for key, value in report.to_dict().items() if key != "findings"}
