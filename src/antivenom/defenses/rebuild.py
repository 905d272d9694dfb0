"""The reconstruction of the rows: data in, data out."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from antivenom.core.arrays import BoolArray
from antivenom.data.query import EXTRAS, extras_of
from antivenom.data.rows import row_columns
from antivenom.defenses.base import PREPARED_SCHEMA


def rebuild(rows: pa.Table, in_reserve: BoolArray, mode: str) -> pa.Table:
    """D -> D*: every ordinary row as it is, and every reserve row with the benign mark.

    Vectorized over Arrow columns; each output row depends on its own input row alone, so a table may be rebuilt in
    pieces of any size.

    Args:
        rows: `row`, `text`, `answer`; a context and an image go along.
        in_reserve: For each row whether it is in S.
        mode: `union` puts the benign copy right behind its original, `replace` in its place.
    """
    copies = np.repeat(np.arange(rows.num_rows), 1 + in_reserve if mode == "union" else 1)
    benign = in_reserve[copies].copy()
    if mode == "union":
        first = np.concatenate([[True], np.diff(copies) > 0])[: len(copies)]
        benign &= ~first
    taken = rows.select(row_columns(rows)).take(pa.array(copies)).add_column(3, "benign", pa.array(benign))
    return taken.cast(pa.schema([*PREPARED_SCHEMA, *(EXTRAS.field(name) for name in extras_of(rows))]))
