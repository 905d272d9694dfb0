"""Passes over rows for Ray Data: one task for each file of a folder, the bytes of the one-process run.

A file is read by one worker, batch by batch; what it makes of a batch comes back in order. This process keeps what one
process keeps (twelve bytes a row) and writes. Where rows are counted, a worker holds a file, and sums come back. A
worker, or its machine, that is lost costs the time to do its files again.
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
import pyarrow.compute as pc

from antivenom.core.arrays import BoolArray
from antivenom.core.cluster import connect
from antivenom.core.errors import AntivenomError, RowsError
from antivenom.core.report import Report
from antivenom.data.arrow_rows import clean_rows
from antivenom.data.cleaning import SCHEMA
from antivenom.data.folders import shards_of
from antivenom.data.read_options import ReadOptions
from antivenom.data.readers import open_file
from antivenom.data.row_stream import Census, RowStream, Seen, look_through, sum_up
from antivenom.data.rows import join_rows
from antivenom.screening.parts import Part
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

    def parts(self, census: Census, labels: Sequence[str]) -> LabeledParts:
        """The rows whose label is one of these, as parts to be counted (`screening/parts.py`).

        Args:
            census: What the first pass found.
            labels: The names of the labels.
        """
        names = tuple(census.names.values())
        is_known = np.isin(names, list(labels))
        kept = [int(is_known[_known(shard.codes)].sum()) for shard in self.shards]
        firsts = np.cumsum([0, *kept])[:-1].tolist()
        return LabeledParts(self.reader, tuple(map(Asked, self.shards, firsts)), tuple(labels), names)

    def without_texts(self, census: Census) -> pa.Table:
        """The number and the label of each row, whether it is a known one or not."""
        names = list(census.names.values())
        numbers = pa.chunked_array(self.parts(census, names).each(_numbers_of), pa.int64())
        codes = np.concatenate([_known(shard.codes) for shard in self.shards])
        return pa.table({"row": numbers, "answer": pa.array(names, pa.string()).take(pa.array(codes))})

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


class Asked(NamedTuple):
    """A file, and how many rows of known labels stand in those before it."""

    shard: Shard
    first: int


@dataclass(frozen=True)
class LabeledParts:
    """Rows of known labels, each file being a part; see `screening.parts.Parts`."""

    reader: Reader
    shards: tuple[Asked, ...]
    labels: tuple[str, ...]
    names: tuple[str, ...]
    """The label that each distinct answer stands for."""

    def each(self, work: Callable[[Part], Made]) -> Iterator[Made]:
        """What `work` makes of each file, in their order."""
        return _each(partial(_ask, self.reader, self.labels, self.names, work), self.shards)


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


def _rebuild(reader: Reader, plan: Plan, _: int, shard: Shard) -> Iterator[Piece]:
    """What a worker does in the second pass."""
    tables = (_numbered(table, shard.first) for table in reader.tables(shard, Report()))
    yield from plan.rebuild(tables, _known(shard.codes), _known(shard.in_reserve))


def _ask(
    reader: Reader, known: tuple[str, ...], names: tuple[str, ...], work: Callable[[Part], Made], _: int, shard: Asked
) -> Iterator[Made]:
    """What a worker does where rows are counted: all rows of a file are in its memory."""
    tables = [_numbered(table, shard.shard.first) for table in reader.tables(shard.shard, Report())]
    table = join_rows([SCHEMA.empty_table(), *tables])
    answers = pa.array(names, pa.string()).take(pa.array(_known(shard.shard.codes)))
    table = table.set_column(2, SCHEMA.field("answer"), answers)
    table = table.filter(pc.is_in(table.column("answer"), value_set=pa.array(known, pa.string())))
    yield work(Part(table, shard.first))


def _numbers_of(part: Part) -> pa.Array:
    return part.table.column("row").combine_chunks()


def _numbered(table: pa.Table, first: int) -> pa.Table:
    """The rows of a file with their numbers among all rows."""
    return table.set_column(0, table.schema.field("row"), pc.add(table.column("row"), first))


def _each(work: Callable[[int, Any], Iterator[Made]], shards: Any) -> Iterator[Made]:
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
