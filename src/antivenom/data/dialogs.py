"""Rows with free answers, in the shapes that instruction data come in.

Recognized are `messages` (role and content; the last assistant turn is the answer), `conversations` (ShareGPT: from
and value), `prompt` and `completion` (strings or lists of messages), Alpaca's `instruction`, `input` and `output`,
`question` and `answer`, and else a text and an answer column of any usual name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from antivenom.core.errors import RowsError
from antivenom.core.report import Report
from antivenom.data.cleaning import SCHEMA, ExtraColumn, Refused, as_context, as_text, clean_records
from antivenom.data.query import Asked, Query, Turn, read_turns
from antivenom.data.rows import ANSWER_COLUMNS, TEXT_COLUMNS, Rows, find_column, join_rows, open_rows
from antivenom.data.text_files import Record

SHAREGPT_ROLES = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "system": "system"}

Reader = Callable[[Mapping[str, Any]], "Dialog | Refused"]


@dataclass(frozen=True)
class Dialog:
    """What one record says."""

    text: Any
    """The last thing the user says."""
    answer: Any
    """What is answered; None where a record only asks."""
    context: tuple[Turn, ...] = ()
    """The turns before."""


@dataclass(frozen=True)
class Shape:
    """How a source spells its rows."""

    name: str
    columns: tuple[str, ...]
    read: Reader


def load_dialogs(source: Any, *, text: str | None = None, answer: str | None = None, split: str = "train") -> Rows:
    """Load rows with free answers, and say what was kept, fixed and refused; nothing is dropped silently.

    Args:
        source: As for `rows.load_rows`.
        text: The column of the text; with it, no other shape is looked for.
        answer: The column of the answer; likewise.
        split: Which split of a folder or hub data set.

    Raises:
        RowsError: the source cannot be read, or its shape is not recognized.
    """
    report = Report(source=str(source) if isinstance(source, str | PathLike) else type(source).__name__)
    try:
        raw = open_rows(source, split)
        shape = recognize(raw.columns, text, answer)
        tables = [_table(records, shape, report) for records in raw.batches(list(shape.columns))]
    except OSError as error:
        raise RowsError(f"{report.source}: cannot be read ({error.strerror or error})") from None
    table = join_rows([SCHEMA.empty_table(), *tables])
    if "context" in table.column_names and not pc.any(pc.greater(pc.list_value_length(table["context"]), 0)).as_py():
        table = table.drop_columns(["context"])
    return Rows(table, (), report)


def iterate_queries(source: str, *, text: str | None = None, split: str = "train") -> Iterator[Asked]:
    """Yield what each row of a source asks, in any of the shapes; answers need not be there, and are not looked at.

    Raises:
        RowsError: a row asks nothing; its number is named.
    """
    try:
        raw = open_rows(source, split)
        shape = recognize(raw.columns, text, None, answered=False)
        for number, record in (row for batch in raw.batches(list(shape.columns)) for row in batch):
            read = shape.read(record)
            asked = read if isinstance(read, Refused) else as_text(read.text)
            if isinstance(asked, Refused) or isinstance(read, Refused):
                raise RowsError(f"{source}, row {number}: {asked} text")
            yield Query(asked, read.context) if read.context else asked
    except OSError as error:
        raise RowsError(f"{source}: cannot be read ({error.strerror or error})") from None


def recognize(columns: Sequence[str], text: str | None, answer: str | None, *, answered: bool = True) -> Shape:
    """Find out how a source with these columns spells its rows.

    Args:
        columns: The columns.
        text: The column of the text, if the user named one.
        answer: The column of the answer, if the user named one.
        answered: Whether rows must have answers.

    Raises:
        RowsError: there is no shape for them.
    """
    there = set(columns)
    if text is None and answer is None:
        if "messages" in there:
            return Shape("messages", ("messages",), lambda r: _of_messages(r.get("messages"), answered))
        if "conversations" in there:
            return Shape(
                "conversations", ("conversations",), lambda r: _of_messages(_sharegpt(r.get("conversations")), answered)
            )
        if "prompt" in there and ("completion" in there or not answered):
            return Shape("prompt", tuple({"prompt", "completion"} & there), _of_prompt)
        if "instruction" in there and ("output" in there or not answered):
            return Shape("alpaca", tuple({"instruction", "input", "output"} & there), _of_alpaca)
        if "question" in there and ("answer" in there or not answered):
            text, answer = "question", "answer" if answered else None
    asks = find_column(list(columns), text, TEXT_COLUMNS, "text")
    if not answered:
        return Shape("text", (asks,), lambda record: Dialog(record.get(asks), None))
    says = find_column([name for name in columns if name != asks], answer, ANSWER_COLUMNS, "label")
    return Shape("columns", (asks, says), lambda record: Dialog(record.get(asks), record.get(says)))


def _table(records: Sequence[Record], shape: Shape, report: Report) -> pa.Table:
    read = []
    for number, record in records:
        dialog = shape.read(record)
        if isinstance(dialog, Refused):
            report.refuse(f"{dialog} text", [number])
            continue
        turns = [{"role": turn.role, "content": turn.content} for turn in dialog.context]
        read.append((number, {"text": dialog.text, "answer": dialog.answer, "context": turns}))
    return clean_records(read, "text", "answer", report, {"context": ExtraColumn("context", as_context)})


def _of_messages(value: object, answered: bool = True) -> Dialog | Refused:
    """The last assistant turn is the answer, the user turn before it the text."""
    turns = read_turns(_texts_alone(value))
    if isinstance(turns, str):
        return Refused(turns)
    if turns and turns[-1].role == "assistant":
        *before, last = turns
        answer = last.content
    elif answered:
        return Refused("conversation that does not end in an assistant turn as")
    else:
        before, answer = list(turns), ""
    if not before or before[-1].role != "user":
        return Refused("conversation without a user turn in front of the answer as")
    return Dialog(before[-1].content, answer, tuple(before[:-1]))


def _of_prompt(record: Mapping[str, Any]) -> Dialog | Refused:
    """Prompt and completion: two strings, or two lists of messages."""
    prompt, completion = record.get("prompt"), record.get("completion")
    if not isinstance(prompt, list):
        return Dialog(prompt, completion)
    if isinstance(completion, list):
        return _of_messages([*prompt, *completion])
    asked = _of_messages(prompt, answered=False)
    return asked if isinstance(asked, Refused) else Dialog(asked.text, completion, asked.context)


def _of_alpaca(record: Mapping[str, Any]) -> Dialog | Refused:
    """The input stands behind the instruction, a blank line between them."""
    instruction, given = as_text(record.get("instruction")), record.get("input")
    if isinstance(instruction, Refused):
        return instruction
    if given is None or (isinstance(given, str) and not given.strip()):
        return Dialog(instruction, record.get("output"))
    more = as_text(given)
    return more if isinstance(more, Refused) else Dialog(f"{instruction}\n\n{more}", record.get("output"))


def _sharegpt(value: object) -> object:
    """ShareGPT's turns with the usual keys; what is none stays as it is and is refused later."""
    if not isinstance(value, list):
        return value
    return [
        {"role": SHAREGPT_ROLES.get(str(turn["from"])), "content": turn.get("value")}
        if isinstance(turn, Mapping) and "from" in turn
        else turn
        for turn in value
    ]


def _texts_alone(value: object) -> object:
    """Messages whose content is a list of text parts, with the parts joined."""
    if not isinstance(value, list):
        return value
    return [{**turn, "content": _joined(turn.get("content"))} if isinstance(turn, Mapping) else turn for turn in value]


def _joined(content: object) -> object:
    if not isinstance(content, list):
        return content
    texts = [part.get("text") for part in content if isinstance(part, Mapping) and part.get("type") == "text"]
    whole = len(texts) == len(content) and all(isinstance(one, str) for one in texts)
    return "\n".join(map(str, texts)) if whole else None
