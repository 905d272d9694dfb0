"""Rebuild rows that never are all in memory: P2P for files of any size, in two passes.

The first pass (`row_stream.take_census`) keeps the label and the keyed hash of every row, twelve bytes; the second
rebuilds batch after batch. The rows are, byte for byte, those of `load_rows` and `P2P.prepare`.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from antivenom.artifacts.export import RowFormat, training_records
from antivenom.core.arrays import BoolArray
from antivenom.core.errors import OptionsError, RowsError
from antivenom.core.files import atomic_write
from antivenom.core.report import Report
from antivenom.data.cleaning import SCHEMA
from antivenom.data.digests import TableDigest
from antivenom.data.row_stream import Census, RowStream
from antivenom.data.sampling import (
    draw,
    label_codes,
    numbered_after,
    random_reserve,
    require_every_class,
    same_rows,
    share_numbers,
)
from antivenom.defenses.base import PREPARED_SCHEMA, rebuild
from antivenom.defenses.p2p import P2P
from antivenom.guards.control_tokens import break_known_markers
from antivenom.guards.guard import Guard
from antivenom.tasks.task import Classification

NO_STREAM = "Leave it out, or prepare without streaming."
_MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
_SCHEMAS = {
    None: PREPARED_SCHEMA,
    "prompt-completion": pa.schema([("prompt", pa.string()), ("completion", pa.string())]),
    "chat": pa.schema([("prompt", _MESSAGES), ("completion", _MESSAGES)]),
    "messages": pa.schema([("messages", _MESSAGES)]),
}


@dataclass(frozen=True)
class StreamedRows:
    """What became of a stream of rows."""

    guard: Guard
    """Wraps inputs and reads outputs of what will be trained."""
    facts: dict[str, Any]
    """What `Prepared.facts` says: the policy, counts and digests."""
    rows: int
    """How many rows were written."""
    sha256: str
    """Digest of the rebuilt rows, as `digest_of_table(Prepared.rows)` gives it."""


def immunize_stream(
    stream: RowStream,
    census: Census,
    defense: P2P,
    task: Classification,
    out: Path,
    *,
    trusted: pa.Table | None = None,
    form: RowFormat | None = None,
) -> StreamedRows:
    """Rebuild all rows with P2P into a file, which appears when it is complete.

    Args:
        stream: The untrusted rows.
        census: What `take_census` found in them; its seed keys the reserve.
        defense: P2P with the reserve policy `random` or `trusted`.
        task: The task, with the labels of the census.
        out: A .parquet or .jsonl file.
        trusted: Rows that the user vouches for; they are few, and follow the others.
        form: What a trainer takes; None writes `row`, `text`, `answer`, `benign`.

    Raises:
        OptionsError: the policy needs all rows in memory, or trusted rows that are missing.
        RowsError: a label is unknown, a class has no row for the reserve, or the file changed between the passes.
    """
    guard = defense.guard(task, census.seed)
    if defense.others != "keep":
        raise OptionsError(f"others = {defense.others!r} needs all rows in memory", mend=NO_STREAM)
    reserve, rebuilt = TableDigest(), TableDigest()
    chosen = written = 0
    with open_sink(out, guard, form) as write:
        for rows, in_reserve in _selected(stream, census, defense, task, trusted):
            table = rebuild(rows, in_reserve, defense.mode)
            write(table)
            reserve.update(rows.filter(pa.array(in_reserve)))
            rebuilt.update(table)
            chosen += int(in_reserve.sum())
            written += table.num_rows
    facts = {
        "policy": defense.reserve,
        "mode": defense.mode,
        "ratio": defense.ratio,
        "rows": chosen,
        "sha256": reserve.hexdigest(),
    }
    return StreamedRows(guard, facts, written, rebuilt.hexdigest())


def _selected(
    stream: RowStream, census: Census, defense: P2P, task: Classification, trusted: pa.Table | None
) -> Iterator[tuple[pa.Table, BoolArray]]:
    """Yield (rows, which of them are in the reserve), in the order of `P2P.prepare`."""
    unknown = sorted(set(census.names.values()) - set(task.labels))
    if unknown:
        raise RowsError(f"the label {unknown[0]!r} is not among the labels {', '.join(task.labels)}")
    if defense.reserve == "random":
        if trusted is not None:
            raise OptionsError("reserve = 'random' with trusted rows needs all rows in memory", mend=NO_STREAM)
        yield from _with_random_reserve(stream, census, defense.ratio, task)
    elif defense.reserve == "trusted":
        yield from _with_trusted_reserve(stream, census, defense.ratio, task, trusted)
    else:
        raise OptionsError(
            f"reserve = {defense.reserve!r} needs all rows in memory", mend="Use `trusted` or `random` here."
        )


def _with_random_reserve(
    stream: RowStream, census: Census, ratio: float, task: Classification
) -> Iterator[tuple[pa.Table, BoolArray]]:
    number_of = np.array([task.index(label) for label in census.names.values()], dtype=np.int32)
    codes = number_of[census.codes]
    require_every_class(task.labels, codes, "row")
    in_reserve = draw(census.keys, codes, ratio)
    start = 0
    for table in _named(stream, census):
        yield table, in_reserve[start : start + table.num_rows]
        start += table.num_rows


def _with_trusted_reserve(
    stream: RowStream, census: Census, ratio: float, task: Classification, trusted: pa.Table | None
) -> Iterator[tuple[pa.Table, BoolArray]]:
    if trusted is None or not trusted.num_rows:
        raise OptionsError("reserve = 'trusted', but no trusted rows were given", mend="Give the rows you vouch for.")
    require_every_class(task.labels, label_codes(trusted, task.labels), "trusted row")
    count, last, shared = trusted.num_rows, 0, False
    for table in _named(stream, census):
        rest = table.filter(pa.array(~same_rows(table, trusted)))
        count += rest.num_rows
        last, shared = max(last, pc.max(table.column("row")).as_py() or 0), shared or share_numbers(rest, trusted)
        yield rest, np.zeros(rest.num_rows, dtype=bool)
    share = min(1.0, ratio * count / trusted.num_rows)
    vouched = numbered_after(last, trusted) if shared else trusted
    yield vouched.select(SCHEMA.names).cast(SCHEMA), random_reserve(trusted, task.labels, share, seed=census.seed)


def _named(stream: RowStream, census: Census) -> Iterator[pa.Table]:
    """The rows once more, with the names of their labels in the place of what the source calls them."""
    answers, names = (pa.array(list(values), pa.string()) for values in (census.names, census.names.values()))
    start = 0
    for table in stream.batches(Report(), plain=census.plain):
        codes = pc.index_in(table.column("answer"), value_set=answers)
        expected = census.codes[start : start + table.num_rows]
        if len(expected) != table.num_rows or not np.array_equal(codes.fill_null(-1).to_numpy(), expected):
            raise RowsError(f"{stream.source}: the file was changed while it was read")
        yield table.set_column(2, SCHEMA.field("answer"), pc.take(names, codes))
        start += table.num_rows
    if start != len(census.codes):
        raise RowsError(f"{stream.source}: the file was changed while it was read")


@contextlib.contextmanager
def open_sink(path: Path, guard: Guard, form: RowFormat | None) -> Iterator[Callable[[pa.Table], None]]:
    """Open a file for prepared rows; it takes its name when the block ends without an error.

    Raises:
        OptionsError: the ending is neither .parquet nor .jsonl.
    """
    import pyarrow.parquet as pq

    if path.suffix == ".parquet":
        with (
            atomic_write(path, "wb", private=True) as file,
            pq.ParquetWriter(file, _SCHEMAS[form], use_dictionary=["answer"]) as writer,
        ):
            yield lambda rows: writer.write_table(_formed(rows, guard, form))
    elif path.suffix == ".jsonl":
        with atomic_write(path, private=True) as file:
            yield lambda rows: file.writelines(
                json.dumps(record, ensure_ascii=False) + "\n" for record in _formed(rows, guard, form).to_pylist()
            )
    else:
        raise OptionsError(f"{path}: rows are not streamed to {path.suffix or 'a nameless'} file", mend="Use .parquet.")


def _formed(rows: pa.Table, guard: Guard, form: RowFormat | None) -> pa.Table:
    """Prepared rows as a trainer takes them."""
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
