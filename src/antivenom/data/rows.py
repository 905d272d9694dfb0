"""Rows in: from any source to one Arrow table (row, text, answer), with a report of what was kept, fixed and refused.

`row` is the number of the row in its source, from 1; `text` and `answer` are strings that are never null or empty.
Rows may also have a `context` (the turns before the text) and an `image`; `query.EXTRAS` has their types.
Whether a row is poisoned is not in it: that truth never reaches a defense.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from antivenom.core.errors import RowsError
from antivenom.core.hashing import row_keys
from antivenom.core.report import Report
from antivenom.data.cleaning import SCHEMA, ExtraColumn, Refused, as_context, as_text, clean_records
from antivenom.data.images import image_reader
from antivenom.data.query import EXTRAS, Asked, Query, asked_as_text, extras_of
from antivenom.data.readers import RawRows, is_unicode, open_dataset, open_records, open_source

DIALOG_COLUMNS = frozenset(("messages", "conversations"))
"""Columns of whole dialogs, which only free answers are read from."""
TEXT_COLUMNS = ("text", "sentence", "content", "review", "question", "input", "headline", "tweet", "prompt", "document")
ANSWER_COLUMNS = ("label", "answer", "labels", "class", "category", "sentiment", "target", "topic", "output")


@dataclass(frozen=True)
class Rows:
    """Loaded rows: the table, the label names the source declares or that were given, and the report."""

    table: pa.Table
    labels: tuple[str, ...]
    report: Report


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
) -> Rows:
    """Load labelled rows and say what was kept, fixed and refused; nothing is dropped silently.

    Args:
        source: A path (.jsonl, .csv, .tsv, .parquet, a folder saved by `datasets`), a hub data-set name, a
            `datasets.Dataset`, or a list of dictionaries.
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

    Raises:
        RowsError: the source cannot be read, or a column cannot be found.
    """
    if labels is not None:
        _require_names(labels)
    report = Report(source=str(source) if isinstance(source, str | PathLike) else type(source).__name__)
    try:
        raw = open_rows(source, split)
        text_column = find_column(raw.columns, text, TEXT_COLUMNS, "text")
        answer_column = find_column(raw.columns, answer, ANSWER_COLUMNS, "label")
        extras = {}
        if context is not None:
            extras["context"] = ExtraColumn(find_column(raw.columns, context, (), "context"), as_context)
        if image is not None:
            reader = image_reader(_image_folder(source, image_folder))
            extras["image"] = ExtraColumn(find_column(raw.columns, image, (), "image"), reader)
        batches = list(_tables(raw, text_column, answer_column, report, extras))
    except OSError as error:
        raise RowsError(f"{report.source}: cannot be read ({error.strerror or error})") from None
    table = join_rows([SCHEMA.empty_table(), *batches])
    declared = tuple(raw.names.get(answer_column, ()))
    table = name_labels(table, tuple(labels or declared), certain=bool(declared))
    return Rows(table, tuple(labels or declared or sorted_answers(table)), report)


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


def open_rows(source: Any, split: str) -> RawRows:
    """Open a path, a name, a data set, a table or a list of rows.

    Raises:
        RowsError: it is none of these, or cannot be read.
    """
    if isinstance(source, str):
        return open_source(source, split)
    if hasattr(source, "with_format"):
        return open_dataset(source)
    if isinstance(source, pa.Table):
        return open_records(source.to_pylist())
    if isinstance(source, PathLike):
        return open_source(str(source), split)
    if isinstance(source, Sequence):
        return open_records(source)
    raise RowsError(f"rows cannot be read from a {type(source).__name__}", mend="Give a path, a name, or a list.")


def _require_names(labels: Sequence[str]) -> None:
    for name in labels:
        if not isinstance(name, str) or not name.strip() or not is_unicode(name):
            raise RowsError(f"{name!r} is no label name")
    repeated = [name for name in labels if list(labels).count(name) > 1]
    if repeated:
        raise RowsError(f"the label {repeated[0]!r} is named twice")


def find_column(columns: list[str], wanted: str | None, usual: tuple[str, ...], what: str) -> str:
    """Find a column: the one named, or the first of the usual names that is there."""
    if wanted is not None:
        if wanted in columns:
            return wanted
        raise RowsError(f"there is no column {wanted!r}", mend=f"The columns are: {', '.join(columns) or 'none'}.")
    by_lower = {name.lower().strip(): name for name in reversed(columns)}
    for name in usual:
        if name in by_lower:
            return by_lower[name]
    mend = f"Use --{'text' if what == 'text' else 'label'}-column."
    if by_lower.keys() & DIALOG_COLUMNS:
        mend += " For free answers in messages, say --kind generation."
    raise RowsError(
        f"no column is recognized as the {what}; the columns are: {', '.join(columns) or 'none'}", mend=mend
    )


def _image_folder(source: Any, chosen: PathLike[str] | str | None) -> Path | None:
    """The folder of the images: the one chosen, or that of a file (or folder) of rows."""
    if chosen is not None:
        return Path(chosen)
    if not isinstance(source, str | PathLike) or not Path(source).exists():
        return None
    return Path(source) if Path(source).is_dir() else Path(source).parent


def _tables(
    raw: RawRows, text_column: str, answer_column: str, report: Report, extras: Mapping[str, ExtraColumn]
) -> Iterator[pa.Table]:
    for records in raw.batches(list(dict.fromkeys([text_column, answer_column, *(e.column for e in extras.values())]))):
        yield clean_records(records, text_column, answer_column, report, extras)


def name_labels(table: pa.Table, names: tuple[str, ...], *, certain: bool) -> pa.Table:
    """Turn label numbers into names. An answer without a name stays, and is found as an unknown label later.

    Args:
        table: The rows.
        names: The names in order.
        certain: Whether the answers are known to be indices (a ClassLabel). If not, a name that is itself a number
            says that they are not.
    """
    if not names or not (certain or not any(re.fullmatch(r"-?\d+", name) for name in names)):
        return table
    numbers = {str(i): name for i, name in enumerate(names)}
    mapped = [numbers.get(answer, answer) for answer in table.column("answer").to_pylist()]
    return with_columns(table, answer=mapped)


def sorted_answers(table: pa.Table) -> tuple[str, ...]:
    """The distinct answers, numbers in numeric order."""
    distinct = table.column("answer").unique().to_pylist()
    return tuple(sorted(distinct, key=lambda a: (0, int(a), a) if re.fullmatch(r"\d{1,18}", a) else (1, 0, a)))


def load_texts(
    source: str,
    *,
    text: str | None = None,
    split: str = "train",
    image: str | None = None,
    image_folder: PathLike[str] | str | None = None,
) -> list[Asked]:
    """Load a column of texts that need no labels, with their images if a column of those is named.

    Raises:
        RowsError: a row has no text, or an image that cannot be used; its number is named.
    """
    return list(iterate_texts(source, text=text, split=split, image=image, image_folder=image_folder))


def iterate_texts(
    source: str,
    *,
    text: str | None = None,
    split: str = "train",
    image: str | None = None,
    image_folder: PathLike[str] | str | None = None,
) -> Iterator[Asked]:
    """Yield what `load_texts` returns without holding the file in memory."""
    try:
        raw = open_rows(source, split)
        column = find_column(raw.columns, text, TEXT_COLUMNS, "text")
        pictures = None if image is None else find_column(raw.columns, image, (), "image")
        read_image = image_reader(_image_folder(source, image_folder)) if pictures is not None else None
        wanted = [column] if pictures is None else [column, pictures]
        for number, record in (row for batch in raw.batches(wanted) for row in batch):
            value = as_text(record.get(column))
            if isinstance(value, Refused):
                raise RowsError(f"{source}, row {number}: {value} text")
            if read_image is None or pictures is None:
                yield value
                continue
            picture = read_image(record.get(pictures))
            if isinstance(picture, str):
                raise RowsError(f"{source}, row {number}: {picture}")
            yield Query(value, image=picture)
    except OSError as error:
        raise RowsError(f"{source}: cannot be read ({error.strerror or error})") from None
