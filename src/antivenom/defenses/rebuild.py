"""The reconstruction of the rows: data in, data out."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from antivenom.core.arrays import BoolArray
from antivenom.data.query import EXTRAS, extras_of
from antivenom.data.rows import row_columns
from antivenom.data.sampling import label_codes
from antivenom.defenses.base import PREPARED_SCHEMA
from antivenom.guards.answers import Answers
from antivenom.guards.guard import Guard
from antivenom.guards.labels import LabelMap


def rebuild(rows: pa.Table, in_reserve: BoolArray, guard: Guard, mode: str) -> pa.Table:
    """D -> D*: every ordinary row with its plain answer, every reserve row with the benign mark and h of its answer.

    Vectorized over Arrow columns; each output row depends on its own input row alone, so a table may be rebuilt in
    pieces of any size.

    Args:
        rows: `row`, `text`, `answer`; a context and an image go along.
        in_reserve: For each row whether it is in S.
        guard: For what is to be said.
        mode: `union` puts the benign copy right behind its original, `replace` in its place.
    """
    copies = np.repeat(np.arange(rows.num_rows), 1 + in_reserve if mode == "union" else 1)
    benign = in_reserve[copies].copy()
    if mode == "union":
        first = np.concatenate([[True], np.diff(copies) > 0])[: len(copies)]
        benign &= ~first
    taken = rows.select(row_columns(rows)).take(pa.array(copies))
    taken = taken.set_column(2, "answer", _said(taken, benign, guard.answers)).add_column(3, "benign", pa.array(benign))
    return taken.cast(pa.schema([*PREPARED_SCHEMA, *(EXTRAS.field(name) for name in extras_of(rows))]))


def _said(rows: pa.Table, benign: BoolArray, answers: Answers) -> pa.Array:
    """What the model is to say to each row."""
    if isinstance(answers, LabelMap):
        names = answers.labels
        words = pa.array([answers.plain(name) for name in names] + [answers.encode(name) for name in names])
        return pc.take(words, pa.array(label_codes(rows, names) + len(names) * benign))
    given = zip(rows.column("answer").to_pylist(), benign, strict=True)
    return pa.array([answers.encode(answer) if mark else answers.plain(answer) for answer, mark in given], pa.string())
