"""Files of rows for trainers, written table by table."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from antivenom.artifacts.export import RowFormat, training_records
from antivenom.core.errors import OptionsError
from antivenom.core.files import atomic_write
from antivenom.defenses.base import PREPARED_SCHEMA
from antivenom.guards.control_tokens import break_known_markers
from antivenom.guards.guard import Guard

_MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
_SCHEMAS = {
    None: PREPARED_SCHEMA,
    "prompt-completion": pa.schema([("prompt", pa.string()), ("completion", pa.string())]),
    "chat": pa.schema([("prompt", _MESSAGES), ("completion", _MESSAGES)]),
    "messages": pa.schema([("messages", _MESSAGES)]),
}


@contextlib.contextmanager
def open_sink(path: Path, form: RowFormat | None) -> Iterator[Callable[[pa.Table], None]]:
    """Open a file for rows of a form; it takes its name when the block ends without an error.

    Raises:
        OptionsError: the ending is neither .parquet nor .jsonl.
    """
    import pyarrow.parquet as pq

    if path.suffix == ".parquet":
        with (
            atomic_write(path, "wb", private=True) as file,
            pq.ParquetWriter(file, _SCHEMAS[form], use_dictionary=["answer"]) as writer,
        ):
            yield writer.write_table
    elif path.suffix == ".jsonl":
        with atomic_write(path, private=True) as file:
            yield lambda rows: file.writelines(
                json.dumps(record, ensure_ascii=False) + "\n" for record in rows.to_pylist()
            )
    else:
        raise OptionsError(f"{path}: rows are not streamed to {path.suffix or 'a nameless'} file", mend="Use .parquet.")


def formed(rows: pa.Table, guard: Guard, form: RowFormat | None) -> pa.Table:
    """Prepared rows as a trainer takes them.

    Args:
        rows: `row`, `text`, `answer`, `benign`.
        guard: Wraps the texts.
        form: What the trainer takes; None leaves the rows as they are.
    """
    schema = _SCHEMAS[form]
    if form is None:
        return rows
    if form != "prompt-completion":
        return pa.Table.from_pylist(list(training_records(rows, guard, form)), schema=schema)
    # The same strings as in `training_records`, made by column.
    frames = [guard.prompt("", benign=benign) for benign in (False, True)]
    before, after = (
        pc.if_else(rows.column("benign"), marked, plain)
        for plain, marked in zip(*((f.plain.removesuffix(f.after), f.after) for f in frames), strict=True)
    )
    said = guard.said(rows.column("answer").to_pylist(), rows.column("benign").to_pylist())
    texts, answers = (
        pa.array(map(break_known_markers, strings), pa.string()) for strings in (rows.column("text").to_pylist(), said)
    )
    prompts = pc.binary_join_element_wise(before, texts, after, "")
    return pa.table([prompts, pc.binary_join_element_wise("", answers, " ")], schema=schema)
