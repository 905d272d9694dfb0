"""Rows of a file that never are all in memory: open it, and count what is in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from antivenom.core.hashing import row_keys
from antivenom.core.report import Report
from antivenom.data.arrow_rows import clean_rows
from antivenom.data.columns import ANSWER_COLUMNS, TEXT_COLUMNS, find_column
from antivenom.data.label_names import note_spellings, numbered_names, one_spelling, sorted_answers
from antivenom.data.raw_rows import RawRows
from antivenom.data.read_options import ReadOptions
from antivenom.data.readers import open_source
from antivenom.data.rows import table_of, tell

USUAL = ReadOptions(batch_rows=65_536)
"""Larger batches than those of rows in memory: fewer of them, and still small."""


@dataclass(frozen=True)
class RowStream:
    """A source of rows that is read as often as needed and gives the same rows each time."""

    source: str
    raw: RawRows
    text_column: str
    answer_column: str
    options: ReadOptions

    def batches(self, report: Report, *, plain: Sequence[bool] = ()) -> Iterator[pa.Table]:
        """Yield clean rows (`row`, `text`, `answer` as the source has it); what was refused goes into `report`.

        Args:
            report: The account of the rows.
            plain: For each batch whether an earlier pass found nothing to mend in it.
        """
        raw = self.raw
        if raw.tables is not None:
            tables = raw.tables
            raw = raw._replace(tables=lambda wanted: _read_ahead(tables(wanted)))
        longest = self.options.limits.longest_text
        return clean_rows(raw, self.text_column, self.answer_column, report, longest=longest, plain=plain)


def _read_ahead(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same batches, the next one being read in a thread of its own while there is work on this one."""
    with ThreadPoolExecutor(1) as reader:
        coming = reader.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = reader.submit(next, batches, None)
            yield batch


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
    options: ReadOptions = USUAL,
) -> RowStream:
    """Open rows without loading them; the arguments are those of `rows.load_rows`.

    Raises:
        RowsError: they cannot be read, or a column cannot be found.
    """
    raw = open_source(str(source), options)
    text_column = find_column(raw.columns, text, TEXT_COLUMNS, "text")
    answer_column = find_column(raw.columns, answer, ANSWER_COLUMNS, "label")
    return RowStream(str(source), raw, text_column, answer_column, options)


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
    tell(report, stream.raw, [stream.text_column, stream.answer_column])
    answers, all_codes = tuple(numbers), np.concatenate(codes)
    declared = tuple(stream.raw.names.get(stream.answer_column, ()))
    chosen = tuple(labels) if labels else declared
    final = _names_of(answers, all_codes, chosen, report, certain=bool(declared))
    found_labels = chosen or sorted_answers(table_of(final, final))
    names = dict(zip(answers, final, strict=True))
    return Census(found_labels, names, all_codes, np.concatenate(keys), tuple(plain), seed, report)


def _names_of(
    answers: Sequence[str], codes: npt.NDArray[np.int32], chosen: Sequence[str], report: Report, *, certain: bool
) -> list[str]:
    """The label that each answer stands for, as `label_names.name_labels` has it."""
    named = numbered_names(answers, chosen, certain=certain)
    spelled = one_spelling(named, chosen)
    counts = dict.fromkeys(named, 0)
    for name, count in zip(named, np.bincount(codes, minlength=len(answers)).tolist(), strict=True):
        counts[name] += count
    note_spellings(spelled, counts, report)
    return [spelled[name] for name in named]
