"""Rows of a file that never are all in memory: open it, and count what is in it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from antivenom.core.errors import RowsError
from antivenom.core.hashing import row_keys
from antivenom.core.report import Report
from antivenom.data.arrow_rows import clean_batch
from antivenom.data.cleaning import clean_records
from antivenom.data.readers import RawRows, open_source
from antivenom.data.rows import (
    ANSWER_COLUMNS,
    TEXT_COLUMNS,
    find_column,
    name_labels,
    sorted_answers,
    table_of,
)

BATCH_ROWS = 65_536


@dataclass(frozen=True)
class RowStream:
    """A file of rows that is read as often as needed and gives the same rows each time."""

    source: str
    raw: RawRows
    text_column: str
    answer_column: str
    batch_rows: int

    def batches(self, report: Report, *, plain: Sequence[bool] = ()) -> Iterator[pa.Table]:
        """Yield clean rows (`row`, `text`, `answer` as the source has it); what was refused goes into `report`.

        Args:
            report: The account of the rows.
            plain: For each batch whether an earlier pass found nothing to mend in it.
        """
        if Path(self.source).suffix.lower() != ".parquet":
            for records in self.raw.batches(list(dict.fromkeys([self.text_column, self.answer_column]))):
                yield clean_records(records, self.text_column, self.answer_column, report)
            return
        start = 1
        for batch, looked_at in zip(
            self._parquet_batches(), itertools.chain(plain, itertools.repeat(False)), strict=False
        ):
            text, answer = batch.column(self.text_column), batch.column(self.answer_column)
            yield clean_batch(text, answer, start, report, looked_at=looked_at)
            start += batch.num_rows

    def _parquet_batches(self) -> Iterator[Any]:
        """Read the two columns ahead of the work on them, in a thread of its own."""
        import pyarrow.parquet as pq

        # A buffered stream: one that is not would hold a whole row group, which may be the whole file.
        with pq.ParquetFile(self.source, buffer_size=2**20, pre_buffer=False) as file:
            columns = list(dict.fromkeys([self.text_column, self.answer_column]))
            batches = file.iter_batches(batch_size=self.batch_rows, columns=columns)
            with ThreadPoolExecutor(1) as reader:
                coming = reader.submit(next, batches, None)
                while (batch := self._result(coming)) is not None:
                    coming = reader.submit(next, batches, None)
                    yield batch

    def _result(self, coming: Future[Any]) -> Any:
        try:
            return coming.result()
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise RowsError(f"{self.source}: the file is damaged ({error})") from None


@dataclass(frozen=True)
class Census:
    """What one pass over the rows found."""

    labels: tuple[str, ...]
    """The label names: those given, those the source declares, or the distinct answers, sorted."""
    names: dict[str, str]
    """The label that each distinct answer of the source stands for."""
    codes: npt.NDArray[np.int32]
    """For each row the number of its answer among `names`."""
    keys: npt.NDArray[np.uint64]
    """For each row the hash that decides whether the reserve takes it."""
    plain: tuple[bool, ...]
    """For each batch whether there was nothing to mend in it."""
    seed: int
    """What the hashes are keyed with."""
    report: Report
    """What was kept, fixed and refused."""


def open_stream(
    source: Path | str,
    *,
    text: str | None = None,
    answer: str | None = None,
    split: str = "train",
    batch_rows: int = BATCH_ROWS,
) -> RowStream:
    """Open a file of rows without loading it; the options are those of `rows.load_rows`.

    Raises:
        RowsError: it cannot be read, or a column cannot be found.
    """
    raw = open_source(str(source), split)
    text_column = find_column(raw.columns, text, TEXT_COLUMNS, "text")
    answer_column = find_column(raw.columns, answer, ANSWER_COLUMNS, "label")
    return RowStream(str(source), raw, text_column, answer_column, batch_rows)


def take_census(stream: RowStream, *, seed: int, labels: Sequence[str] | None = None) -> Census:
    """Read all rows once."""
    report = Report(source=stream.source)
    numbers: dict[str, int] = {}
    codes, keys = [np.zeros(0, dtype=np.int32)], [np.zeros(0, dtype=np.uint64)]
    plain, mended = [], 0
    for table in stream.batches(report):
        plain.append(report.refused + report.fixed == mended)
        mended = report.refused + report.fixed
        for value in table.column("answer").unique().to_pylist():
            numbers.setdefault(value, len(numbers))
        found = pc.index_in(table.column("answer"), value_set=pa.array(list(numbers), pa.string()))
        codes.append(found.to_numpy().astype(np.int32))
        keys.append(row_keys(table.column("text"), seed=seed, purpose="reserve"))
    answers = tuple(numbers)
    declared = tuple(stream.raw.names.get(stream.answer_column, ()))
    chosen = tuple(labels) if labels else declared
    named = name_labels(table_of(answers, answers), chosen, certain=bool(declared))
    names = dict(zip(answers, named.column("answer").to_pylist(), strict=True))
    return Census(
        chosen or sorted_answers(named), names, np.concatenate(codes), np.concatenate(keys), tuple(plain), seed, report
    )
