"""Rows in: from any source to one Arrow table (row, text, answer), with a report of what was kept, fixed and refused.

`row` is the number of the row in its source, from 1; `text` and `answer` are strings that are never null or empty.
Rows may also have a `context` (the turns before the text) and an `image`; `query.EXTRAS` has their types.
Whether a row is poisoned is not in it: that truth never reaches a defense.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from os import PathLike
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from antivenom.core.errors import RowsError
from antivenom.core.hashing import row_keys
from antivenom.core.report import Report
from antivenom.data.arrow_rows import clean_rows
from antivenom.data.cleaning import SCHEMA, ExtraColumn, as_context, clean_records
from antivenom.data.columnar import declared_names
from antivenom.data.columns import ANSWER_COLUMNS, TEXT_COLUMNS, ColumnNames, find_column, unread_columns
from antivenom.data.images import image_reader
from antivenom.data.label_names import name_labels, require_names, sorted_answers
from antivenom.data.query import EXTRAS, asked_as_text, extras_of
from antivenom.data.raw_rows import RawRows, of_tables, require_columns
from antivenom.data.read_options import ReadOptions
from antivenom.data.readers import open_dataset, open_records, open_source


@dataclass(frozen=True)
class Rows:
    """Loaded rows: the table, the label names the source declares or that were given, and the report."""

    table: pa.Table
    labels: tuple[str, ...]
    report: Report
    columns: ColumnNames = ColumnNames()
    """What the source calls the columns that were read."""


def load_rows(
    source: Any,
    *,
    text: str | None = None,
    answer: str | None = None,
    labels: Sequence[str] | None = None,
    split: str = "train",
    context: str | None = None,
    image: str | None = None,
    image_folder: PathLike[str] | str | None = None,
    options: ReadOptions | None = None,
) -> Rows:
    """Load labeled rows and say what was kept, fixed and refused; nothing is dropped silently.

    Args:
        source: A path (.jsonl, .csv, .tsv, .parquet, a folder of such files or saved by `datasets`), a hub data-set
            name (`openai/gsm8k:main` names a configuration), a `datasets.Dataset`, an Arrow table, or a list of
            dictionaries.
        text: The column of the text; recognized when it has one of the usual names.
        answer: The column of the label; recognized likewise.
        labels: The label names in order. Numbers in the data (0, 1, ...) are then indices into them. Taken from the
            data when not given: a ClassLabel's names, or the sorted distinct answers.
        split: Which split of a folder or hub data set.
        context: The column of the turns before the text, lists of `role` and `content`; rows have none without it.
        image: The column of images: paths, bytes, or what `datasets` writes. Every row must have one then, and every
            image is decoded once, so that a broken one is found here. Rows have none without this.
        image_folder: Images named by a path are relative to this folder and stay inside it, whatever they are called
            (`/` allows every file); the folder of a file of rows when not given.
        options: Configuration, quotes and limits; its split counts instead of `split`.

    Raises:
        RowsError: the source cannot be read, or a column cannot be found.
    """
    if labels is not None:
        require_names(labels)
    options = options or ReadOptions(split)
    report = Report(source=name_of(source))
    try:
        raw = open_rows(source, options)
        names = ColumnNames(
            find_column(raw.columns, text, TEXT_COLUMNS, "text"),
            find_column(raw.columns, answer, ANSWER_COLUMNS, "label"),
            "" if context is None else find_column(raw.columns, context, (), "context"),
            "" if image is None else find_column(raw.columns, image, (), "image"),
        )
        extras = {}
        longest = options.limits.longest_text
        if names.context:
            extras["context"] = ExtraColumn(names.context, partial(as_context, longest=longest))
        if names.image:
            extras["image"] = ExtraColumn(names.image, image_reader(image_folder_of(source, image_folder)))
        batches = list(_tables(raw, names, report, extras, longest))
    except OSError as error:
        raise RowsError(f"{report.source}: cannot be read ({error.strerror or error})") from None
    return put_together(batches, raw, names, report, labels)


def put_together(
    batches: Sequence[pa.Table], raw: RawRows, names: ColumnNames, report: Report, labels: Sequence[str] | None = None
) -> Rows:
    """The clean rows of a source, with the names of their labels.

    Args:
        batches: The rows.
        raw: Where they come from.
        names: What the source calls the columns that were read.
        report: The account of the rows.
        labels: See `load_rows`.
    """
    tell(report, raw, list(vars(names).values()))
    table = join_rows([SCHEMA.empty_table(), *batches])
    declared = tuple(raw.names.get(names.answer, ()))
    table = name_labels(table, tuple(labels or declared), report, certain=bool(declared))
    return Rows(table, tuple(labels or declared or sorted_answers(table)), report, names)


def name_of(source: Any) -> str:
    """What a report calls a source."""
    return str(source) if isinstance(source, str | PathLike) else type(source).__name__


def tell(report: Report, raw: RawRows, read: Sequence[str]) -> None:
    """Note what was found out about a source, and which of its columns are not read."""
    for note in (*raw.notes, unread_columns(raw.columns, read)):
        if note:
            report.note(note)


def table_of(texts: Sequence[str], answers: Sequence[str]) -> pa.Table:
    """Make a table of rows from two lists of equal length, numbered from 1."""
    return pa.table([range(1, len(texts) + 1), list(texts), list(answers)], schema=SCHEMA)


def keep_answers_after(rows: Rows, mark: str) -> Rows:
    """Keep of each answer only what follows the last `mark`; answers without one stay, and are counted as a warning.

    Rows where nothing follows it are refused.
    """
    answers = rows.table.column("answer").to_pylist()
    short = [answer.rpartition(mark)[2].strip() for answer in answers]
    numbers = rows.table.column("row")
    marked = [mark in answer for answer in answers]
    if not all(marked):
        rows.report.warn(
            f"no {mark!r} in the answer", numbers.filter(pa.array([not has for has in marked])).to_pylist()
        )
    alive = pa.array([bool(answer) for answer in short])
    rows.report.unkeep(f"nothing behind {mark!r} in the answer", numbers.filter(pc.invert(alive)).to_pylist())
    return Rows(with_columns(rows.table, answer=short).filter(alive), rows.labels, rows.report)


def row_columns(table: pa.Table) -> list[str]:
    """`row`, `text`, `answer`, and the context and image where the rows have them."""
    return [*SCHEMA.names, *extras_of(table)]


def join_rows(tables: Sequence[pa.Table]) -> pa.Table:
    """Put rows behind one another; those that lack a context or an image which others have get none."""
    extras = [name for name in EXTRAS.names if any(name in table.column_names for table in tables)]
    schema = pa.schema([*SCHEMA, *(EXTRAS.field(name) for name in extras)])
    return pa.concat_tables([_with_extras(table, extras).cast(schema) for table in tables])


def _with_extras(table: pa.Table, names: Sequence[str]) -> pa.Table:
    for name in names:
        if name not in table.column_names:
            table = table.append_column(EXTRAS.field(name), pa.nulls(table.num_rows, EXTRAS.field(name).type))
    return table.select([*SCHEMA.names, *names])


def split_rows(table: pa.Table, sizes: Sequence[int], *, seed: int) -> list[pa.Table]:
    """Cut disjoint parts of the given sizes, drawn by keyed hashes of the texts."""
    keys = row_keys(asked_as_text(table), seed=seed, purpose="split")
    shuffled = table.take(pc.sort_indices(pa.array(keys)))
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    return [shuffled.slice(start, size) for start, size in zip(starts, sizes, strict=True)]


def with_columns(table: pa.Table, **columns: Any) -> pa.Table:
    """Replace the named columns of `table`; the others stay."""
    for name, values in columns.items():
        index = table.schema.get_field_index(name)
        table = table.set_column(index, table.schema.field(name), [pa.array(values, table.schema.field(name).type)])
    return table


def open_rows(source: Any, options: ReadOptions = ReadOptions()) -> RawRows:
    """Open a path, a name, a data set, a table or a list of rows.

    Raises:
        RowsError: it is none of these, or cannot be read.
    """
    if isinstance(source, str | PathLike):
        return open_source(str(source), options)
    if hasattr(source, "with_format"):
        return open_dataset(source, options.batch_rows)
    if isinstance(source, pa.Table):
        require_columns(source.column_names, "the table", options.limits.most_columns)
        names = declared_names(source.schema)
        return of_tables(
            lambda wanted: iter(source.select(wanted).to_batches()), source.column_names, "the table", names=names
        )
    if isinstance(source, Sequence):
        return open_records(source)
    raise RowsError(f"rows cannot be read from a {type(source).__name__}", mend="Give a path, a name, or a list.")


def image_folder_of(source: Any, chosen: PathLike[str] | str | None) -> Path | None:
    """The folder of the images: the one chosen, or that of a file (or folder) of rows."""
    if chosen is not None:
        return Path(chosen)
    if not isinstance(source, str | PathLike) or not Path(source).exists():
        return None
    return Path(source) if Path(source).is_dir() else Path(source).parent


def _tables(
    raw: RawRows, names: ColumnNames, report: Report, extras: Mapping[str, ExtraColumn], longest: int
) -> Iterator[pa.Table]:
    if not extras:
        yield from clean_rows(raw, names.text, names.answer, report, longest=longest)
        return
    wanted = list(dict.fromkeys([names.text, names.answer, *(extra.column for extra in extras.values())]))
    for records in raw.batches(wanted):
        yield clean_records(records, names.text, names.answer, report, extras, longest)
