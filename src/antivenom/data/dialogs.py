"""Rows with free answers, in the shapes that instruction data come in.

Recognized are `messages` (role and content; the last assistant turn is the answer), `conversations` (ShareGPT: from
and value), `prompt` and `completion` (strings or lists of messages), Alpaca's `instruction`, `input` and `output`,
Dolly's `instruction`, `context` and `response`, `question` and `answer`, and else a text and an answer column of any
usual name. `system` and `history` beside them become turns; a row with what no text can hold (calls of tools, thoughts
of a model, images) is refused, and columns and keys that are not read are named in the report.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from antivenom.core.errors import RowsError
from antivenom.core.report import Report
from antivenom.data.cleaning import SCHEMA, ExtraColumn, Refused, as_context, as_text, clean_records
from antivenom.data.columns import ColumnNames, unread_columns
from antivenom.data.query import LOST_IN_TURNS, Asked, Query, is_empty
from antivenom.data.raw_rows import Record
from antivenom.data.read_options import ReadLimits, ReadOptions
from antivenom.data.rows import Rows, join_rows, name_of, open_rows, tell
from antivenom.data.shapes import Shape, recognize

# Turns with what cannot be kept are refused for it.
READ_OF_TURNS = frozenset(("role", "content", "from", "value", *LOST_IN_TURNS))
TURN_COLUMNS = ("messages", "conversations", "prompt", "completion")


def load_dialogs(
    source: Any,
    *,
    text: str | None = None,
    answer: str | None = None,
    split: str = "train",
    options: ReadOptions | None = None,
) -> Rows:
    """Load rows with free answers, and say what was kept, fixed and refused; nothing is dropped silently.

    Args:
        source: As for `rows.load_rows`.
        text: The column of the text; with it, no other shape is looked for.
        answer: The column of the answer; likewise.
        split: Which split of a folder or hub data set.
        options: Configuration, quotes and limits; its split counts instead of `split`.

    Raises:
        RowsError: the source cannot be read, or its shape is not recognized.
    """
    options = options or ReadOptions(split)
    report = Report(source=name_of(source))
    try:
        raw = open_rows(source, options)
        shape = recognize(raw.columns, text, answer)
        unread: set[str] = set()
        batches = raw.batches(list(shape.columns))
        tables = [_table(records, shape, report, unread, options.limits) for records in batches]
    except OSError as error:
        raise RowsError(f"{report.source}: cannot be read ({error.strerror or error})") from None
    tell(report, raw, shape.columns)
    late = sorted(name for name in unread if not name.startswith(".") and name not in raw.columns)
    in_turns = sorted(name[1:] for name in unread if name.startswith("."))
    for note in (unread_columns(late, ()), unread_columns(in_turns, ()).replace("columns", "keys of turns")):
        if note:
            report.note(note)
    table = join_rows([SCHEMA.empty_table(), *tables])
    if "context" in table.column_names and not pc.any(pc.greater(pc.list_value_length(table["context"]), 0)).as_py():
        table = table.drop_columns(["context"])
    return Rows(table, (), report, ColumnNames(shape.asks, shape.says))


def iterate_queries(source: str, *, text: str | None = None, options: ReadOptions = ReadOptions()) -> Iterator[Asked]:
    """Yield what each row of a source asks, in any of the shapes; answers need not be there, and are not looked at.

    Raises:
        RowsError: a row asks nothing; its number is named.
    """
    try:
        raw = open_rows(source, options)
        shape = recognize(raw.columns, text, None, answered=False)
        for number, record in (row for batch in raw.batches(list(shape.columns)) for row in batch):
            read = shape.read(record)
            asked = read if isinstance(read, Refused) else as_text(read.text, options.limits.longest_text)
            if isinstance(asked, Refused) or isinstance(read, Refused):
                raise RowsError(f"{source}, row {number}: {asked} text")
            yield Query(asked, read.context) if read.context else asked
    except OSError as error:
        raise RowsError(f"{source}: cannot be read ({error.strerror or error})") from None


def _table(records: Sequence[Record], shape: Shape, report: Report, unread: set[str], limits: ReadLimits) -> pa.Table:
    read = []
    for number, record in records:
        unread.update(name for name in record.keys() - set(shape.columns) if not is_empty(record[name]))
        for name in TURN_COLUMNS:
            if name in shape.columns and isinstance(record.get(name), list):
                unread.update(f".{key}" for key in _unread_keys(record[name]))
        dialog = shape.read(record)
        if isinstance(dialog, Refused):
            report.refuse(f"{dialog} text", [number])
            continue
        turns = [{"role": turn.role, "content": turn.content} for turn in dialog.context]
        read.append((number, {"text": dialog.text, "answer": dialog.answer, "context": turns}))
    context = ExtraColumn("context", partial(as_context, longest=limits.longest_text))
    return clean_records(read, "text", "answer", report, {"context": context}, limits.longest_text)


def _unread_keys(turns: Sequence[object]) -> set[str]:
    found = (turn for turn in turns if isinstance(turn, Mapping))
    return {str(key) for turn in found for key in turn.keys() - READ_OF_TURNS if not is_empty(turn[key])}
