"""Cleaning whole Arrow batches at once, with the result of cleaning record by record."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from antivenom.core.report import Report
from antivenom.data.cleaning import CONTROL_CHARACTERS, SCHEMA, clean_records
from antivenom.data.digests import string_buffers
from antivenom.data.text_files import Record

TEXT, ANSWER = "text", "answer"

BoolArray = npt.NDArray[np.bool_]


def clean_batch(text: Any, answer: Any, first_row: int, report: Report, *, looked_at: bool = False) -> pa.Table:
    """The usable rows of one batch (`row`, `text`, `answer`).

    Rows with nothing to mend are taken over as they are; only the others go through `cleaning.clean_records`.

    Args:
        text: Arrow array of the texts.
        answer: Arrow array of the labels, of any type.
        first_row: Number of the first row in its source.
        report: What was refused and fixed goes here.
        looked_at: An earlier pass found nothing to mend, so the texts are not looked at again.
    """
    rows = np.arange(first_row, first_row + len(text))
    if isinstance(text, pa.DictionaryArray):
        text = text.dictionary_decode()
    if not (pa.types.is_string(text.type) or pa.types.is_large_string(text.type)):
        return _clean_records(rows, text, answer, report)
    answers = _clean_answers(answer)
    careful = np.zeros(len(text), dtype=bool) if looked_at else _needs_care(text)
    careful |= answers.is_null().to_numpy(zero_copy_only=False)
    if not careful.any():
        report.keep(len(rows))
        return pa.table([rows, text.cast(pa.string()), answers], schema=SCHEMA)
    fine = pa.array(~careful)
    plain = pa.table([pa.array(rows), text.cast(pa.string()), answers], schema=SCHEMA).filter(fine)
    report.keep(plain.num_rows)
    mask = pa.array(careful)
    mended = _clean_records(rows[careful], text.filter(mask), answer.filter(mask), report)
    return pa.concat_tables([plain, mended]).sort_by("row").combine_chunks()


def _clean_records(rows: npt.NDArray[np.int64], text: Any, answer: Any, report: Report) -> pa.Table:
    values = zip(rows.tolist(), text.to_pylist(), answer.to_pylist(), strict=True)
    return clean_records([(row, {TEXT: t, ANSWER: a}) for row, t, a in values], TEXT, ANSWER, report)


def _needs_care(text: Any) -> BoolArray:
    """Texts that are missing or blank, or hold control characters or bytes that are not UTF-8."""
    filled = text.fill_null("")
    try:
        filled.validate(full=True)
    except pa.ArrowInvalid:
        return np.ones(len(text), dtype=bool)
    offsets, data = string_buffers(filled)
    careful = _blank(filled, offsets, data)
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


def _clean_answers(answer: Any) -> Any:
    """Labels as `cleaning.clean_records` writes them, null where it refuses them; each distinct one is read once."""
    coded = answer if isinstance(answer, pa.DictionaryArray) else answer.dictionary_encode()
    records: list[Record] = [(i, {TEXT: "x", ANSWER: value}) for i, value in enumerate(coded.dictionary.to_pylist())]
    kept = clean_records(records, TEXT, ANSWER, Report())
    cleaned = dict(zip(kept.column("row").to_pylist(), kept.column("answer").to_pylist(), strict=True))
    return pa.array([cleaned.get(i) for i, _ in records], pa.string()).take(coded.indices)
