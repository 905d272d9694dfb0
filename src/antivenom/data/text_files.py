"""JSON, JSONL, CSV and TSV, read strictly with the standard library: a broken file is refused with its place."""

from __future__ import annotations

import csv
import itertools
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from antivenom.core.errors import RowsError

LONGEST_FIELD = 16 * 2**20
"""Characters one CSV field may have; a longer one is almost surely a quote that was never closed."""

TREC_LINE = re.compile(r"(?P<coarse_label>[A-Z]+):(?P<fine_label>\w+) (?P<text>.+)")

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


def json_records(path: Path) -> Iterator[Record]:
    """Yield the rows of a .json file: a list of objects or of lists (`column_1`, `column_2`, ...), or else JSONL.

    A list is held in memory as a whole.

    Raises:
        RowsError: it is neither, or a row is no object and no list.
    """
    if not _begins_with_a_list(path):
        yield from jsonl_records(path)
        return
    try:
        rows = json.loads("".join(line for _, line in _lines(path)), object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        raise RowsError(f"{path}: not JSON: {error}") from None
    for row, value in enumerate(rows, start=1):
        if isinstance(value, list):
            yield row, {f"column_{number}": cell for number, cell in enumerate(value, start=1)}
        elif isinstance(value, dict):
            yield row, value
        else:
            raise RowsError(f"{path}, row {row}: expected an object or a list, got {type(value).__name__}")


def _begins_with_a_list(path: Path) -> bool:
    return next((line.lstrip()[0] for _, line in _lines(path) if line.strip()), "") == "["


def trec_records(path: Path) -> Iterator[Record]:
    """Yield the rows of a file in TREC's format, `COARSE:fine question` on each line.

    Raises:
        RowsError: a line is not of that form.
    """
    lines = ((number, line) for number, line in _lines(path) if line.strip())
    for row, (number, line) in enumerate(lines, start=1):
        match = TREC_LINE.fullmatch(line.rstrip("\r\n"))
        if match is None:
            raise RowsError(
                f"{path}, line {number}: rows cannot be read from a {path.suffix} file but in TREC's form",
                mend="That is LABEL:finer text. Rows with labels go into .jsonl, .json, .csv or .tsv.",
            )
        yield row, match.groupdict()


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
