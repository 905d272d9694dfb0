"""JSONL, CSV and TSV, read strictly with the standard library: a broken file is refused with its line and row."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from antivenom.errors import RowsError

LONGEST_FIELD = 16 * 2**20
"""Characters one CSV field may have; a longer one is almost surely a quote that was never closed."""

Record = tuple[int, Mapping[str, Any]]


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line number, text), refusing what is not UTF-8."""
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            if number == 1:
                if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
                    raise RowsError(f"{path}: the file is UTF-16", mend="Save it as UTF-8.")
                raw = raw.removeprefix(b"\xef\xbb\xbf")
            try:
                yield number, raw.decode("utf-8")
            except UnicodeDecodeError as error:
                raise RowsError(
                    f"{path}, line {number}: byte {raw[error.start]:#04x} at position {error.start} is not UTF-8",
                    mend="Save the file as UTF-8 (for example with `iconv -f LATIN1 -t UTF-8`).",
                ) from None


def jsonl_records(path: Path) -> Iterator[Record]:
    """Yield the objects of a JSONL file with their row numbers; empty lines are no rows.

    Raises:
        RowsError: a line is no JSON object.
    """
    row = 0
    for number, line in _lines(path):
        if not line.strip():
            continue
        row += 1
        try:
            record = json.loads(line, object_pairs_hook=_object)
        except (ValueError, RecursionError) as error:
            stops = not line.endswith("\n")
            what = "the file stops in the middle of a row" if stops else f"not JSON: {error}"
            raise RowsError(f"{path}, line {number} (row {row}): {what}", mend=f"The line: {line[:80]!r}") from None
        if not isinstance(record, dict):
            raise RowsError(
                f"{path}, line {number} (row {row}): expected an object, got {type(record).__name__}",
                mend='Each line must look like {"text": "...", "label": "..."}.',
            )
        yield row, record


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; a key that stands twice is refused, because readers disagree about which of the two counts."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} stands twice")
    return found


def delimited_header(path: Path, delimiter: str, quoting: int) -> list[str]:
    """The first record of a CSV or TSV file; empty if there is none."""
    return next(_cells(path, delimiter, quoting), (0, []))[1]


def delimited_records(path: Path, delimiter: str, quoting: int, columns: list[str]) -> Iterator[Record]:
    """Yield the records behind the header with their row numbers.

    Raises:
        RowsError: a row has more or fewer cells than the header, or its quotes are wrong.
    """
    for row, (line, cells) in enumerate(itertools.islice(_cells(path, delimiter, quoting), 1, None), start=1):
        if len(cells) != len(columns):
            raise RowsError(
                f"{path}, line {line} (row {row}): expected {len(columns)} columns, found {len(cells)}",
                mend=f"The columns are {', '.join(columns)}. Quote texts that contain {delimiter!r}, or use JSONL.",
            )
        yield row, dict(zip(columns, cells, strict=True))


def _cells(path: Path, delimiter: str, quoting: int) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, cells) of every record that is not an empty line, the header first."""
    csv.field_size_limit(LONGEST_FIELD)
    quoting_mode: Any = quoting
    reader = csv.reader((line for _, line in _lines(path)), delimiter=delimiter, quoting=quoting_mode, strict=True)
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise RowsError(f"{path}, line {reader.line_num}: {_explain_csv(error)}") from None
        if cells:
            yield reader.line_num, cells


def _explain_csv(error: csv.Error) -> str:
    if "unexpected end" in str(error):
        return "the file stops in the middle of a row (a quote is never closed)"
    if "new-line character" in str(error):
        return "a carriage return stands inside a row; lines must end with a line feed, and such texts must be quoted"
    if "field larger" in str(error):
        return f"a field is longer than {LONGEST_FIELD} characters; a quote was probably never closed"
    return str(error)
