"""Cleaning whole Arrow batches at once, with the result of cleaning record by record."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from antivenom.files import string_buffers
from antivenom.report import Report
from antivenom.rows import CONTROL_CHARACTERS, SCHEMA, clean_records
from antivenom.text_files import Record

TEXT, ANSWER = "text", "answer"

BoolArray = npt.NDArray[np.bool_]


def clean_batch(text: Any, answer: Any, first_row: int, report: Report) -> pa.Table:
    """The usable rows of one batch (`row`, `text`, `answer`).

    Rows with nothing to mend are taken over as they are; only the others go through `rows.clean_records`.

    Args:
        text: Arrow array of the texts.
        answer: Arrow array of the labels, of any type.
        first_row: Number of the first row in its source.
        report: What was refused and fixed goes here.
    """
    rows = np.arange(first_row, first_row + len(text))
    if isinstance(text, pa.DictionaryArray):
        text = text.dictionary_decode()
    if not (pa.types.is_string(text.type) or pa.types.is_large_string(text.type)):
        return _clean_records(rows, text, answer, report)
    answers = _clean_answers(answer)
    careful = _needs_care(text) | answers.is_null().to_numpy(zero_copy_only=False)
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
    blank = pc.equal(pc.binary_length(pc.utf8_ltrim_whitespace(filled)), 0)
    careful: BoolArray = blank.to_numpy(zero_copy_only=False)
    # All characters that have a byte below 32 are control characters; most batches have none but these three.
    data = string_buffers(filled)[1]
    found = np.count_nonzero(data < 32) + np.count_nonzero(data == 127)
    if found > sum(np.count_nonzero(data == code) for code in b"\t\n\r"):
        hit = pc.match_substring_regex(filled, CONTROL_CHARACTERS)
        careful |= hit.to_numpy(zero_copy_only=False)
    return careful


def _clean_answers(answer: Any) -> Any:
    """Labels as `rows.clean_records` writes them, null where it refuses them; each distinct one is looked at once."""
    coded = answer if isinstance(answer, pa.DictionaryArray) else answer.dictionary_encode()
    records: list[Record] = [(i, {TEXT: "x", ANSWER: value}) for i, value in enumerate(coded.dictionary.to_pylist())]
    kept = clean_records(records, TEXT, ANSWER, Report())
    cleaned = dict(zip(kept.column("row").to_pylist(), kept.column("answer").to_pylist(), strict=True))
    return pa.array([cleaned.get(i) for i, _ in records], pa.string()).take(coded.indices)
