"""Cleaning whole Arrow batches at once, with the result of cleaning record by record."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, repeat
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from antivenom.core.report import Report
from antivenom.data.cleaning import CONTROL_CHARACTERS, SCHEMA, clean_records
from antivenom.data.digests import string_buffers
from antivenom.data.raw_rows import RawRows, Record, damaged
from antivenom.data.read_options import ReadLimits

TEXT, ANSWER = "text", "answer"

BoolArray = npt.NDArray[np.bool_]


def clean_rows(
    raw: RawRows, text: str, answer: str, report: Report, *, longest: int, plain: Sequence[bool] = ()
) -> Iterator[pa.Table]:
    """Yield the usable rows of a source (`row`, `text`, `answer`), in whole batches where it has columns of one type.

    Args:
        raw: The source.
        text: The column of the texts.
        answer: The column of the answers.
        report: What was refused and fixed goes here.
        longest: Bytes that a text or answer may have.
        plain: For each batch whether an earlier pass found nothing to mend in it.
    """
    wanted = list(dict.fromkeys([text, answer]))
    if raw.tables is None:
        for records in raw.batches(wanted):
            yield clean_records(records, text, answer, report, longest=longest)
        return
    start = 1
    for batch, looked_at in zip(raw.tables(wanted), chain(plain, repeat(False)), strict=False):
        columns = batch.column(text), batch.column(answer)
        try:
            yield clean_batch(*columns, start, report, longest=longest, looked_at=looked_at)
        except (pa.ArrowException, ValueError, OverflowError) as error:
            raise damaged(report.source, start - 1, error) from None
        start += batch.num_rows


def clean_batch(
    text: Any,
    answer: Any,
    first_row: int,
    report: Report,
    *,
    longest: int = ReadLimits.longest_text,
    looked_at: bool = False,
) -> pa.Table:
    """The usable rows of one batch (`row`, `text`, `answer`).

    Rows with nothing to mend are taken over as they are; only the others go through `cleaning.clean_records`.

    Args:
        text: Arrow array of the texts.
        answer: Arrow array of the labels, of any type.
        first_row: Number of the first row in its source.
        report: What was refused and fixed goes here.
        longest: Bytes that a text or answer may have.
        looked_at: An earlier pass found nothing to mend, so the texts are not looked at again.
    """
    rows = np.arange(first_row, first_row + len(text))
    if isinstance(text, pa.DictionaryArray):
        text = text.dictionary_decode()
    if not (pa.types.is_string(text.type) or pa.types.is_large_string(text.type)):
        return _clean_records(rows, text, answer, report, longest)
    if not _is_simple(answer.type):
        return _clean_records(rows, text, answer, report, longest)
    answers = _clean_answers(answer, longest)
    careful = np.zeros(len(text), dtype=bool) if looked_at else _needs_care(text, longest)
    careful |= answers.is_null().to_numpy(zero_copy_only=False)
    if not careful.any():
        report.keep(len(rows))
        return pa.table([rows, text.cast(pa.string()), answers], schema=SCHEMA)
    fine = pa.array(~careful)
    plain = pa.table([pa.array(rows), text.cast(pa.string()), answers], schema=SCHEMA).filter(fine)
    report.keep(plain.num_rows)
    mask = pa.array(careful)
    mended = _clean_records(rows[careful], text.filter(mask), answer.filter(mask), report, longest)
    return pa.concat_tables([plain, mended]).sort_by("row").combine_chunks()


def _is_simple(kind: pa.DataType) -> bool:
    """Whether Arrow can find the distinct values of such a column, and Python hold them."""
    if pa.types.is_dictionary(kind):
        return _is_simple(kind.value_type)
    tests = (
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_integer,
        pa.types.is_boolean,
        pa.types.is_float32,
    )
    return any(test(kind) for test in (*tests, pa.types.is_float64))


def _clean_records(rows: npt.NDArray[np.int64], text: Any, answer: Any, report: Report, longest: int) -> pa.Table:
    values = zip(rows.tolist(), text.to_pylist(), answer.to_pylist(), strict=True)
    records = [(row, {TEXT: t, ANSWER: a}) for row, t, a in values]
    return clean_records(records, TEXT, ANSWER, report, longest=longest)


def _needs_care(text: Any, longest: int) -> BoolArray:
    """Texts that are missing, blank or too long, or hold control characters or bytes that are not UTF-8."""
    filled = text.fill_null("")
    try:
        filled.validate(full=True)
    except pa.ArrowInvalid:
        return np.ones(len(text), dtype=bool)
    offsets, data = string_buffers(filled)
    careful = _blank(filled, offsets, data) | (np.diff(offsets) > longest)
    # All characters that have a byte below 32 are control characters; most batches have none but these three.
    low = data[data < 32]
    if (data == 127).any() or not np.isin(low, list(b"\t\n\r")).all():
        hit = pc.match_substring_regex(filled, CONTROL_CHARACTERS)
        careful |= hit.to_numpy(zero_copy_only=False)
    return careful


def _blank(text: Any, offsets: npt.NDArray[np.int64], data: npt.NDArray[np.uint8]) -> BoolArray:
    """Texts of white space alone. Whoever begins with a visible ASCII character is none, and most do."""
    blank: BoolArray = np.diff(offsets) == 0
    first = data[np.minimum(offsets[:-1], max(len(data) - 1, 0))] if len(data) else np.zeros(len(text), np.uint8)
    doubtful = np.flatnonzero(~blank & ((first <= 32) | (first >= 127)))
    if len(doubtful):
        trimmed = pc.utf8_ltrim_whitespace(text.take(pa.array(doubtful)))
        blank[doubtful] = pc.equal(pc.binary_length(trimmed), 0).to_numpy(zero_copy_only=False)
    return blank


def _clean_answers(answer: Any, longest: int) -> Any:
    """Labels as `cleaning.clean_records` writes them, null where it refuses them; each distinct one is read once."""
    coded = answer if isinstance(answer, pa.DictionaryArray) else answer.dictionary_encode()
    records: list[Record] = [(i, {TEXT: "x", ANSWER: value}) for i, value in enumerate(coded.dictionary.to_pylist())]
    kept = clean_records(records, TEXT, ANSWER, Report(), longest=longest)
    cleaned = dict(zip(kept.column("row").to_pylist(), kept.column("answer").to_pylist(), strict=True))
    return pa.array([cleaned.get(i) for i, _ in records], pa.string()).take(coded.indices)
