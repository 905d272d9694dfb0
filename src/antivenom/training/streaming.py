"""Rebuild rows that never are all in memory: P2P for files of any size, in two passes.

The first pass (`row_stream.take_census`) keeps the label and the keyed hash of every row, twelve bytes; the second
rebuilds batch after batch. The rows are, byte for byte, those of `load_rows` and `P2P.prepare`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from antivenom.artifacts.export import RowFormat
from antivenom.core.arrays import BoolArray
from antivenom.core.errors import OptionsError, RowsError
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
from antivenom.defenses.base import rebuild
from antivenom.defenses.p2p import P2P
from antivenom.guards.guard import Guard
from antivenom.tasks.task import Classification
from antivenom.training.row_sinks import formed, open_sink

NO_STREAM = "Leave it out, or prepare without streaming."


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


class Piece(NamedTuple):
    """Some rows, rebuilt."""

    reserve: pa.Table
    """Those of them that are in the reserve."""
    rebuilt: pa.Table
    """As `P2P.prepare` has them."""
    formed: pa.Table
    """As they are written."""
    last: int = 0
    """The largest number of a row."""
    shared: bool = False
    """Whether a row has the number of a trusted one."""
    rest: int = 0
    """How many are no trusted rows."""


@dataclass(frozen=True)
class Plan:
    """What is done to every batch of rows; which of them are in the reserve is told beside it."""

    defense: P2P
    guard: Guard
    form: RowFormat | None
    trusted: pa.Table | None
    source: str
    names: dict[str, str]
    """See `Census.names`."""

    @classmethod
    def of(
        cls,
        stream: RowStream,
        census: Census,
        defense: P2P,
        task: Classification,
        *,
        trusted: pa.Table | None = None,
        form: RowFormat | None = None,
    ) -> Plan:
        """Check what was asked.

        Args:
            stream: The untrusted rows.
            census: What `take_census` found in them; its seed keys the reserve.
            defense: P2P with the reserve policy `random` or `trusted`.
            task: The task, with the labels of the census.
            trusted: Rows that the user vouches for; they are few, and follow the others.
            form: What a trainer takes; None writes `row`, `text`, `answer`, `benign`.

        Raises:
            OptionsError: the policy needs all rows in memory, or trusted rows that are missing.
            RowsError: a label is unknown, or a class has no trusted row.
        """
        guard = defense.guard(task, census.seed)
        if defense.others != "keep":
            raise OptionsError(f"others = {defense.others!r} needs all rows in memory", mend=NO_STREAM)
        unknown = sorted(set(census.names.values()) - set(task.labels))
        if unknown:
            raise RowsError(f"the label {unknown[0]!r} is not among the labels {', '.join(task.labels)}")
        if defense.reserve not in ("random", "trusted"):
            raise OptionsError(
                f"reserve = {defense.reserve!r} needs all rows in memory", mend="Use `trusted` or `random` here."
            )
        if defense.reserve == "random" and trusted is not None:
            raise OptionsError("reserve = 'random' with trusted rows needs all rows in memory", mend=NO_STREAM)
        if defense.reserve == "trusted":
            if trusted is None or not trusted.num_rows:
                raise OptionsError(
                    "reserve = 'trusted', but no trusted rows were given", mend="Give the rows you vouch for."
                )
            require_every_class(task.labels, label_codes(trusted, task.labels), "trusted row")
        return cls(defense, guard, form, trusted, stream.source, census.names)

    def reserve(self, census: Census) -> BoolArray:
        """Which rows of the source are in the reserve; none where it is the trusted ones."""
        if self.defense.reserve == "trusted":
            return np.zeros(len(census.codes), dtype=bool)
        labels = self.guard.task.classes
        assert labels is not None
        number_of = np.array([labels.index(label) for label in census.names.values()], dtype=np.int32)
        codes = number_of[census.codes]
        require_every_class(labels, codes, "row")
        return draw(census.keys, codes, self.defense.ratio)

    def rebuild(
        self, tables: Iterable[pa.Table], codes: npt.NDArray[np.int32], in_reserve: BoolArray
    ) -> Iterator[Piece]:
        """Rebuild rows batch by batch.

        Args:
            tables: The same rows in the same batches as in the first pass.
            codes: What that pass says of their answers.
            in_reserve: Which of them are in the reserve.

        Raises:
            RowsError: these are other rows.
        """
        start = 0
        for table in tables:
            rows = slice(start, start + table.num_rows)
            yield self._piece(self._named(table, codes[rows]), in_reserve[rows])
            start += table.num_rows
        if start != len(codes):
            raise self._changed()

    def vouched(self, rows: int, last: int, shared: bool, seed: int) -> Piece:
        """The trusted rows, which follow the others."""
        trusted, labels = self.trusted, self.guard.task.classes
        assert trusted is not None
        share = min(1.0, self.defense.ratio * (rows + trusted.num_rows) / trusted.num_rows)
        numbered = numbered_after(last, trusted) if shared else trusted
        chosen = random_reserve(trusted, labels, share, seed=seed)
        return self._rebuilt(numbered.select(SCHEMA.names).cast(SCHEMA), chosen)

    def _piece(self, table: pa.Table, in_reserve: BoolArray) -> Piece:
        if self.trusted is None:
            return self._rebuilt(table, in_reserve)
        rest = table.filter(pa.array(~same_rows(table, self.trusted)))
        last = pc.max(table.column("row")).as_py() or 0
        piece = self._rebuilt(rest, np.zeros(rest.num_rows, dtype=bool))
        return piece._replace(last=last, shared=share_numbers(rest, self.trusted), rest=rest.num_rows)

    def _rebuilt(self, rows: pa.Table, in_reserve: BoolArray) -> Piece:
        table = rebuild(rows, in_reserve, self.defense.mode)
        return Piece(rows.filter(pa.array(in_reserve)), table, formed(table, self.guard, self.form))

    def _named(self, table: pa.Table, expected: npt.NDArray[np.int32]) -> pa.Table:
        """The rows with the names of their labels in the place of what the source calls them."""
        answers, names = (pa.array(list(values), pa.string()) for values in (self.names, self.names.values()))
        codes = pc.index_in(table.column("answer"), value_set=answers)
        if len(expected) != table.num_rows or not np.array_equal(codes.fill_null(-1).to_numpy(), expected):
            raise self._changed()
        return table.set_column(2, SCHEMA.field("answer"), pc.take(names, codes))

    def _changed(self) -> RowsError:
        return RowsError(f"{self.source}: the file was changed while it was read")


def immunize_stream(stream: RowStream, census: Census, plan: Plan, out: Path) -> StreamedRows:
    """Rebuild all rows with P2P into a file, which appears when it is complete.

    Args:
        stream: The untrusted rows.
        census: What `take_census` found in them.
        plan: What to do with them.
        out: A .parquet or .jsonl file.

    Raises:
        OptionsError: rows cannot be streamed into such a file.
        RowsError: a class has no row for the reserve, or the file changed between the passes.
    """
    tables = stream.batches(Report(), plain=census.plain)
    return write_pieces(plan, plan.rebuild(tables, census.codes, plan.reserve(census)), out, seed=census.seed)


def write_pieces(plan: Plan, pieces: Iterable[Piece], out: Path, *, seed: int) -> StreamedRows:
    """Write rebuilt rows in order, and the trusted ones behind them.

    Args:
        plan: How they were rebuilt.
        pieces: The rows.
        out: A .parquet or .jsonl file; it appears when it is complete.
        seed: Keys which trusted rows are drawn.
    """
    reserve, rebuilt = TableDigest(), TableDigest()
    chosen = written = rest = last = 0
    shared = False
    with open_sink(out, plan.form) as write:

        def take(piece: Piece) -> None:
            nonlocal chosen, written
            write(piece.formed)
            reserve.update(piece.reserve)
            rebuilt.update(piece.rebuilt)
            chosen += piece.reserve.num_rows
            written += piece.rebuilt.num_rows

        for piece in pieces:
            take(piece)
            rest, last, shared = rest + piece.rest, max(last, piece.last), shared or piece.shared
        if plan.trusted is not None:
            take(plan.vouched(rest, last, shared, seed))
    defense = plan.defense
    facts = {
        "policy": defense.reserve,
        "mode": defense.mode,
        "ratio": defense.ratio,
        "rows": chosen,
        "sha256": reserve.hexdigest(),
    }
    return StreamedRows(plan.guard, facts, written, rebuilt.hexdigest())
