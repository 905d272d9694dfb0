"""Passes over rows for Ray Data: one task for each file of a folder, the bytes of the one-process run.

A file is read by one worker, batch by batch; what it makes of a batch comes back in order. This process keeps what one
process keeps (twelve bytes a row) and writes. A worker, or its machine, that is lost costs the time to do its files
again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from antivenom.core.arrays import BoolArray
from antivenom.core.cluster import connect
from antivenom.core.errors import AntivenomError, RowsError
from antivenom.core.report import Report
from antivenom.data.arrow_rows import clean_rows
from antivenom.data.columns import ColumnNames
from antivenom.data.folders import shards_of
from antivenom.data.read_options import ReadOptions
from antivenom.data.readers import open_file
from antivenom.data.row_stream import Census, RowStream, Seen, look_through, sum_up
from antivenom.data.rows import Rows, put_together
from antivenom.training.streaming import Piece, Plan, StreamedRows, write_pieces

Made = TypeVar("Made")
LARGEST_BLOCK = 32 * 2**20
"""Bytes that a worker hands over at once: what bounds the memory of a cluster."""


class Shard(NamedTuple):
    """A file of the folder, and what the first pass knows of it."""

    path: Path
    first: int = 0
    """How many rows stand in the files before it."""
    plain: tuple[bool, ...] = ()
    codes: npt.NDArray[np.int32] | None = None
    in_reserve: BoolArray | None = None


class SeenShard(NamedTuple):
    """What the first pass makes of one batch."""

    shard: int
    seen: Seen
    report: Report
    """Of this batch alone, the rows of the file counted from 1."""


class CleanShard(NamedTuple):
    """One batch of clean rows."""

    shard: int
    table: pa.Table
    report: Report
    """Of this batch alone, the rows of the file counted from 1."""


@dataclass(frozen=True)
class Reader:
    """Opens the files of a folder on any machine."""

    text_column: str
    answer_column: str
    options: ReadOptions
    root: Path

    def tables(self, shard: Shard, report: Report) -> Iterator[pa.Table]:
        """The clean rows of a file, numbered from 1."""
        raw = open_file(shard.path, self.options, self.root)
        longest = self.options.limits.longest_text
        return clean_rows(raw, self.text_column, self.answer_column, report, longest=longest, plain=shard.plain)


@dataclass(frozen=True)
class ShardedRows:
    """A folder of files of rows that a cluster reads."""

    source: str
    reader: Reader
    shards: tuple[Shard, ...]

    @classmethod
    def open(cls, stream: RowStream, where: str) -> ShardedRows:
        """Join the cluster.

        Args:
            stream: The rows, opened from a folder that every machine of the cluster sees under the same name.
            where: See `core.cluster.connect`.

        Raises:
            RowsError: it is no folder of files of rows.
            MissingPackageError: Ray is not installed.
        """
        folder = Path(stream.source).absolute()
        if not folder.is_dir():
            raise RowsError(f"{stream.source} is no folder of files", mend="Cut it into files, or leave --ray out.")
        files, root = shards_of(folder, stream.options)
        connect(where)
        reader = Reader(stream.text_column, stream.answer_column, stream.options, root)
        return cls(stream.source, reader, tuple(map(Shard, files)))

    def load(self, stream: RowStream, labels: Sequence[str] | None = None) -> Rows:
        """All rows in this process, as `rows.load_rows` has them; read and cleaned by the cluster."""
        report, ends, tables = Report(source=stream.source), [0] * (len(self.shards) + 1), []
        for made in _each(partial(_clean, self.reader), self.shards):
            first = sum(ends[: made.shard + 1])
            ends[made.shard + 1] += made.report.read
            report.follow(made.report, first)
            tables.append(_numbered(made.table, first))
        names = ColumnNames(stream.text_column, stream.answer_column)
        return put_together(tables, stream.raw, names, report, labels)

    def take_census(self, stream: RowStream, *, seed: int, labels: Any = None) -> tuple[Census, ShardedRows]:
        """The first pass; see `row_stream.take_census`.

        Returns:
            What it found, and these rows with what the second pass needs.
        """
        report, found = Report(source=stream.source), [SeenCounts() for _ in self.shards]

        def seen() -> Iterator[Seen]:
            for made in _each(partial(_look, self.reader, seed), self.shards):
                report.follow(made.report, sum(count.rows for count in found[: made.shard]))
                found[made.shard].add(made)
                yield made.seen

        census = sum_up(stream, seen(), report, seed=seed, labels=labels)
        return census, replace(self, shards=tuple(_located(self.shards, found, census)))

    def immunize(self, census: Census, plan: Plan, out: Path) -> StreamedRows:
        """The second pass; see `streaming.immunize_stream`."""
        in_reserve = plan.reserve(census)
        ends = np.cumsum([0, *(len(_known(shard.codes)) for shard in self.shards)])
        shards = [
            shard._replace(in_reserve=in_reserve[ends[number] : ends[number + 1]])
            for number, shard in enumerate(self.shards)
        ]
        pieces: Iterator[Piece] = _each(partial(_rebuild, self.reader, plan), shards)
        return write_pieces(plan, pieces, out, seed=census.seed)


@dataclass
class SeenCounts:
    """What the first pass found of one file so far."""

    rows: int = 0
    kept: int = 0
    batches: int = 0

    def add(self, made: SeenShard) -> None:
        """Count a batch."""
        self.rows += made.report.read
        self.kept += len(made.seen.codes)
        self.batches += 1


def _located(shards: tuple[Shard, ...], found: list[SeenCounts], census: Census) -> Iterator[Shard]:
    """The files with their parts of what the first pass found."""
    rows = kept = batches = 0
    for shard, counts in zip(shards, found, strict=True):
        plain = census.plain[batches : batches + counts.batches]
        yield shard._replace(first=rows, plain=plain, codes=census.codes[kept : kept + counts.kept])
        rows, kept, batches = rows + counts.rows, kept + counts.kept, batches + counts.batches


def _look(reader: Reader, seed: int, number: int, shard: Shard) -> Iterator[SeenShard]:
    """What a worker does in the first pass."""
    report = Report()
    for seen in look_through(reader.tables(shard, report), report, seed=seed):
        yield SeenShard(number, seen, replace(report))
        report.kept, report.findings = 0, {}  # of the next batch


def _clean(reader: Reader, number: int, shard: Shard) -> Iterator[CleanShard]:
    """What a worker does where this process takes all rows."""
    report = Report()
    for table in reader.tables(shard, report):
        yield CleanShard(number, table, replace(report))
        report.kept, report.findings = 0, {}  # of the next batch


def _rebuild(reader: Reader, plan: Plan, _: int, shard: Shard) -> Iterator[Piece]:
    """What a worker does in the second pass."""
    tables = (_numbered(table, shard.first) for table in reader.tables(shard, Report()))
    yield from plan.rebuild(tables, _known(shard.codes), _known(shard.in_reserve))


def _numbered(table: pa.Table, first: int) -> pa.Table:
    """The rows of a file with their numbers among all rows."""
    import pyarrow.compute as pc

    return table.set_column(0, table.schema.field("row"), pc.add(table.column("row"), first))


def _each(work: Callable[[int, Shard], Iterator[Made]], shards: Any) -> Iterator[Made]:
    """What `work` yields for every file, in order.

    Raises:
        AntivenomError: one that a worker raised.
    """
    import ray.data

    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.target_max_block_size = LARGEST_BLOCK
    context.enable_progress_bars = False

    def done(batch: dict[str, Any]) -> Iterator[dict[str, Any]]:
        for number, shard in zip(batch["number"], batch["shard"], strict=True):
            for made in work(int(number), shard):
                yield {"made": _column(made)}

    items = [{"number": number, "shard": shard} for number, shard in enumerate(shards)]
    dataset = ray.data.from_items(items, override_num_blocks=len(items)).map_batches(done, batch_size=1)
    try:
        for row in dataset.iter_rows():
            yield row["made"]
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, AntivenomError):
            raise error.cause from None
        raise


def _column(one: Any) -> npt.NDArray[np.object_]:
    """A column that holds one object."""
    column = np.empty(1, dtype=object)
    column[0] = one
    return column


def _known(array: npt.NDArray[Any] | None) -> Any:
    assert array is not None, "the first pass knows it"
    return array
