"""JSONL, JSON and TREC's format, read strictly with the standard library: a broken file is refused with its place."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from antivenom.core.errors import RowsError
from antivenom.core.intake import open_regular, read_bytes, reason_of, unique_keys
from antivenom.data.raw_rows import RawRows, columns_of, of_records
from antivenom.data.read_options import ReadLimits

LONGEST_LINE = 16 * 2**20
"""Bytes that one line, or one cell of CSV, may have; a longer one is almost surely a quote that was never closed."""

ROWS_THAT_SHOW_COLUMNS = 1000
"""So many rows of a JSONL file are looked at for its columns; any of them may leave a key out."""

TREC_LINE = re.compile(r"(?P<coarse_label>[A-Z]+):(?P<fine_label>\w+) (?P<text>.+)")

# Python writes NaN and Infinity into JSON; rows that hold them are refused one by one, not the whole file.
_DECODER = json.JSONDecoder(object_pairs_hook=unique_keys)

Reader = Callable[[Path, ReadLimits, Path | None], Iterator[Mapping[str, Any]]]


def open_objects(read: Reader, path: Path, limits: ReadLimits, root: Path | None = None) -> RawRows:
    """Open a file that one of the readers below reads.

    Raises:
        RowsError: the file holds no rows, or its first rows are broken.
    """
    first = list(itertools.islice(read(path, limits, root), ROWS_THAT_SHOW_COLUMNS))
    if not first:
        raise RowsError(f"{path}: the file holds no rows")
    return of_records(lambda: read(path, limits, root), columns_of(first))


def lines_of(path: Path, root: Path | None) -> Iterator[tuple[int, str, int]]:
    """Yield (line number, text, bytes), refusing what is not UTF-8 and lines that never end."""
    with open_regular(path, error=RowsError, root=root) as file:
        for number in itertools.count(1):
            raw = file.readline(LONGEST_LINE + 1)
            if not raw:
                return
            if len(raw) > LONGEST_LINE:
                raise RowsError(
                    f"{path}, line {number}: longer than {LONGEST_LINE} bytes",
                    mend="In CSV, a quote was probably never closed. No text that is trained on is so long.",
                )
            yield number, _decoded(raw, path, number), len(raw)


def _decoded(raw: bytes, path: Path, number: int) -> str:
    if number == 1:
        if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise RowsError(f"{path}: the file is UTF-16", mend="Save it as UTF-8.")
        raw = raw.removeprefix(b"\xef\xbb\xbf")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise RowsError(
            f"{path}, line {number}: byte {raw[error.start]:#04x} at position {error.start} is not UTF-8",
            mend="Save the file as UTF-8 (for example with `iconv -f LATIN1 -t UTF-8`).",
        ) from None


def jsonl_records(path: Path, limits: ReadLimits, root: Path | None = None) -> Iterator[Mapping[str, Any]]:
    """Yield the objects of a JSONL file; empty lines are no rows.

    Raises:
        RowsError: a line is no JSON object.
    """
    row = 0
    for number, line, _ in lines_of(path, root):
        if not line.strip():
            continue
        row += 1
        try:
            record = _DECODER.decode(line)
        except (ValueError, RecursionError) as error:
            stops = not line.endswith("\n")
            what = "the file stops in the middle of a row" if stops else f"not JSON: {reason_of(error)}"
            raise RowsError(f"{path}, line {number} (row {row}): {what}", mend=f"The line: {line[:80]!r}") from None
        if not isinstance(record, dict):
            raise RowsError(
                f"{path}, line {number} (row {row}): expected an object, got {type(record).__name__}",
                mend='Each line must look like {"text": "...", "label": "..."}.',
            )
        _require_few_keys(record, f"{path}, line {number} (row {row})", limits)
        yield record


def json_records(path: Path, limits: ReadLimits, root: Path | None = None) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of a .json file: a list of objects or of lists (`column_1`, `column_2`, ...), or else JSONL.

    A list is held in memory as a whole.

    Raises:
        RowsError: it is neither, or a row is no object and no list.
    """
    first = next((line for _, line, _ in lines_of_start(path, root) if line.strip()), "").lstrip()
    if not first.startswith("["):
        yield from _single_objects(path, limits, root)
        return
    for row, value in enumerate(_list_of(path, limits, root), start=1):
        if isinstance(value, list):
            value = {f"column_{number}": cell for number, cell in enumerate(value, start=1)}
        if not isinstance(value, dict):
            raise RowsError(f"{path}, row {row}: expected an object or a list, got {type(value).__name__}")
        _require_few_keys(value, f"{path}, row {row}", limits)
        yield value


def lines_of_start(path: Path, root: Path | None) -> Iterator[tuple[int, str, int]]:
    """The first lines of a file, none of them longer than is needed to see how it begins."""
    with open_regular(path, error=RowsError, root=root) as file:
        for number in itertools.count(1):
            raw = file.readline(4096)
            if not raw:
                return
            yield number, raw.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace"), len(raw)


def _list_of(path: Path, limits: ReadLimits, root: Path | None) -> list[Any]:
    raw = read_bytes(path, error=RowsError, root=root, most_bytes=limits.largest_list)
    try:
        rows = _DECODER.decode(raw.removeprefix(b"\xef\xbb\xbf").decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise RowsError(f"{path}: not JSON: {reason_of(error)}") from None
    assert isinstance(rows, list)
    return rows


def _single_objects(path: Path, limits: ReadLimits, root: Path | None) -> Iterator[Mapping[str, Any]]:
    """JSONL in a .json file, unless it is one object that holds whole columns."""
    records = jsonl_records(path, limits, root)
    first = list(itertools.islice(records, 2))
    if len(first) == 1 and _holds_columns(first[0]):
        raise RowsError(
            f"{path}: one object of whole columns ({', '.join(list(first[0])[:5])}), not rows",
            mend="pandas writes rows with df.to_json(path, orient='records', lines=True).",
        )
    yield from first
    yield from records


def _holds_columns(record: Mapping[str, Any]) -> bool:
    """Whether an object spells a table by columns, as pandas' `to_json` does: objects of one index, or equal lists."""
    values = list(record.values())
    if len(values) < 2:
        return False
    if all(isinstance(value, dict) and value for value in values):
        return len({frozenset(value) for value in values}) == 1
    plain = all(isinstance(value, list) and value and not isinstance(value[0], dict) for value in values)
    return plain and len({len(value) for value in values}) == 1


def trec_records(path: Path, _limits: ReadLimits, root: Path | None = None) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of a file in TREC's format, `COARSE:fine question` on each line.

    Raises:
        RowsError: a line is not of that form.
    """
    for number, line, _ in lines_of(path, root):
        if not line.strip():
            continue
        match = TREC_LINE.fullmatch(line.rstrip("\r\n"))
        if match is None:
            raise RowsError(
                f"{path}, line {number}: rows cannot be read from a {path.suffix} file but in TREC's form",
                mend="That is LABEL:finer text. Rows with labels go into .jsonl, .json, .csv or .tsv.",
            )
        yield match.groupdict()


def _require_few_keys(record: Mapping[str, Any], where: str, limits: ReadLimits) -> None:
    if len(record) > limits.most_columns:
        raise RowsError(
            f"{where}: {len(record)} keys, more than {limits.most_columns}", mend="Raise it with --most-columns."
        )
