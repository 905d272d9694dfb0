"""Rows of a file that never are all in memory: open it, and count what is in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

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


class Seen(NamedTuple):
    """What a pass over the rows keeps of one batch."""

    answers: list[str]
    """The distinct answers, in the order in which they come up."""
    codes: npt.NDArray[np.int32]
    """For each row the number of its answer among them."""
    keys: npt.NDArray[np.uint64]
    """See `Census.keys`."""
    plain: bool
    """Whether there was nothing to mend."""


def take_census(stream: RowStream, *, seed: int, labels: Sequence[str] | None = None) -> Census:
    """Read all rows once."""
    report = Report(source=stream.source)
    return sum_up(stream, look_through(stream.batches(report), report, seed=seed), report, seed=seed, labels=labels)


def look_through(tables: Iterable[pa.Table], report: Report, *, seed: int) -> Iterator[Seen]:
    """Look at clean rows, batch by batch.

    Args:
        tables: The batches.
        report: What was mended in each of them is in it when it comes.
        seed: Keys the hashes.
    """
    mended = 0
    for table in tables:
        plain = report.refused + report.fixed == mended
        answers = table.column("answer").unique()
        codes = pc.index_in(table.column("answer"), value_set=answers).to_numpy().astype(np.int32)
        keys = row_keys(table.column("text"), seed=seed, purpose="reserve")
        yield Seen(answers.to_pylist(), codes, keys, plain)
        mended = report.refused + report.fixed


def sum_up(
    stream: RowStream, batches: Iterable[Seen], report: Report, *, seed: int, labels: Sequence[str] | None = None
) -> Census:
    """Put together what a pass over the rows saw.

    Args:
        stream: The rows.
        batches: What it kept of each batch, in order.
        report: The account of the rows, complete when the batches are through.
        seed: What the hashes are keyed with.
        labels: The label names, if they are given.
    """
    numbers: dict[str, int] = {}
    codes, keys = [np.zeros(0, dtype=np.int32)], [np.zeros(0, dtype=np.uint64)]
    plain = []
    for seen in batches:
        for value in seen.answers:
            numbers.setdefault(value, len(numbers))
        codes.append(np.array([numbers[value] for value in seen.answers], dtype=np.int32)[seen.codes])
        keys.append(seen.keys)
        plain.append(seen.plain)
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
