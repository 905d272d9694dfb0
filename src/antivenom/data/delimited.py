"""CSV and TSV: every cell a string as it is written, read by `pyarrow.csv`, refused where its quotes are doubtful.

pyarrow.csv reads `"a"b` as `ab`, a lone carriage return as the end of a row, and a quote in the last cell that is never
closed as a cell of all that follows, without a word. So the bytes are looked at first (`_doubtful`), and where a quote
or a carriage return stands in an odd place, the strict reader of the standard library has to accept the file before
pyarrow reads it. That reader also names the line of whatever is refused, which pyarrow does not.
"""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from antivenom.core.errors import RowsError
from antivenom.core.intake import open_regular, reason_of
from antivenom.data.raw_rows import RawRows, of_tables, require_columns
from antivenom.data.read_options import Quotes, ReadOptions
from antivenom.data.text_files import LONGEST_LINE, lines_of

DELIMITERS = ",;\t|"
"""What separates the cells of a .csv file: the first of these that the header is made of, else a comma."""

BLOCK = 8 * 2**20
QUOTE, RETURN, NEWLINE = b'"\r\n'


@dataclass(frozen=True)
class Dialect:
    """How a file spells its cells."""

    delimiter: str
    quoted: bool
    """Whether quotation marks around a cell are no part of it."""
    note: str = ""
    """What a user should hear about it."""


def open_delimited(path: Path, options: ReadOptions, root: Path | None = None) -> RawRows:
    """Open a .csv or .tsv file.

    Raises:
        RowsError: the file cannot be read, is empty, or its header is not one.
    """
    dialect = find_dialect(path, options.quotes, root)
    columns, start = _header(path, dialect, root)
    require_columns(columns, str(path), options.limits.most_columns)

    def tables(wanted: list[str]) -> Iterator[pa.RecordBatch]:
        return _tables(path, dialect, columns, start, wanted, root)

    return of_tables(tables, columns, str(path), notes=(dialect.note,) if dialect.note else ())


def delimited_records(path: Path) -> Iterator[dict[str, str]]:
    """The rows of a .csv or .tsv file as dictionaries."""
    raw = open_delimited(path, ReadOptions())
    return (dict(record) for batch in raw.batches(raw.columns) for _, record in batch)


def find_dialect(path: Path, quotes: Quotes, root: Path | None = None) -> Dialect:
    """Find out what separates the cells of a file and whether they are quoted."""
    if path.suffix.lower() == ".tsv":
        return _dialect_of_tsv(path, root) if quotes == "auto" else Dialect("\t", quotes == "yes")
    quoted = quotes != "no"
    heads = ((mark, _header(path, Dialect(mark, quoted), root)[0]) for mark in DELIMITERS)
    delimiter = next((mark for mark, columns in heads if len(columns) > 1), ",")
    note = "" if delimiter == "," else f"the cells are separated by {delimiter!r}"
    return Dialect(delimiter, quoted, note)


def _dialect_of_tsv(path: Path, root: Path | None) -> Dialect:
    """TSV has no quoting (IANA), but pandas and Excel quote its cells; only what proves that they did counts.

    Proof is a header that is quoted, a quoted cell with doubled quotes inside, or line ends inside of cells: then the
    lines have too few cells, and reading them as quoted mends that.
    """
    wrapped, others, doubled, ragged = 0, 0, False, False
    columns: list[str] = []
    for _, cells in _strict_cells(path, Dialect("\t", quoted=False), root, explain=False):
        marked = [cell for cell in cells if cell.startswith('"')]
        right = [cell for cell in marked if _is_wrapped(cell)]
        if not columns:
            columns = cells
            if len(right) == len(cells):
                return _quoted_tsv("the header is quoted")
        ragged = ragged or len(cells) != len(columns)
        wrapped, others = wrapped + len(right), others + len(marked) - len(right)
        doubled = doubled or any('""' in cell[1:-1] for cell in right)
    if ragged and _reads_as_quoted(path, root):
        return _quoted_tsv("lines end inside of quoted cells")
    if doubled and not others:
        return _quoted_tsv("quoted cells hold doubled quotes")
    note = f"{wrapped} cells are wrapped in quotation marks, read as part of the text; if not, say --quotes yes"
    return Dialect("\t", quoted=False, note=note if wrapped else "")


def _quoted_tsv(why: str) -> Dialect:
    note = f"the cells of this TSV are read as quoted ({why}); --quotes no takes the marks as text"
    return Dialect("\t", quoted=True, note=note)


def _is_wrapped(cell: str) -> bool:
    return len(cell) > 1 and cell.endswith('"') and '"' not in cell[1:-1].replace('""', "")


def _reads_as_quoted(path: Path, root: Path | None) -> bool:
    try:
        counts = {len(cells) for _, cells in _strict_cells(path, Dialect("\t", quoted=True), root)}
    except RowsError:
        return False
    return len(counts) == 1


def _header(path: Path, dialect: Dialect, root: Path | None) -> tuple[list[str], int]:
    """The first record that is no empty line, and the byte behind it."""
    read = 0

    def counted() -> Iterator[tuple[int, str]]:
        nonlocal read
        for number, line, size in lines_of(path, root):
            read += size
            yield number, line

    cells = next(_cells_of_lines(counted(), path, dialect), None)
    if cells is None:
        raise RowsError(f"{path}: the file is empty")
    return cells[1], read


def _tables(
    path: Path, dialect: Dialect, columns: list[str], start: int, wanted: list[str], root: Path | None
) -> Iterator[pa.RecordBatch]:
    with open_regular(path, error=RowsError, root=root) as file:
        file.seek(start)
        if _doubtful(file, dialect):
            _require_strict(path, dialect, columns, root)
        file.seek(start)
        if not file.read(1):
            return
        file.seek(start)
        try:
            yield from _arrow_batches(file, dialect, columns, wanted)
        except (pa.ArrowException, UnicodeDecodeError) as error:
            _require_strict(path, dialect, columns, root)
            raise RowsError(f"{path}: cannot be read as rows ({reason_of(error)})") from None


def _arrow_batches(file: BinaryIO, dialect: Dialect, columns: list[str], wanted: list[str]) -> Iterator[pa.RecordBatch]:
    parse = pacsv.ParseOptions(
        delimiter=dialect.delimiter, quote_char='"' if dialect.quoted else False, newlines_in_values=dialect.quoted
    )
    read = pacsv.ReadOptions(use_threads=False, block_size=2 * LONGEST_LINE, column_names=columns)
    convert = pacsv.ConvertOptions(
        column_types=dict.fromkeys(columns, pa.string()),
        null_values=[],
        strings_can_be_null=False,
        include_columns=wanted,
    )
    try:
        yield from pacsv.open_csv(file, read_options=read, parse_options=parse, convert_options=convert)
    except pa.ArrowInvalid as error:
        if "Empty CSV file" not in str(error):  # nothing but empty lines follow the header
            raise


def _doubtful(file: BinaryIO, dialect: Dialect) -> bool:
    """Whether a quote or a carriage return stands where a strict reader may have to stop.

    A quote in its place opens a cell behind a delimiter or line end, or closes one in front of these; the two of a
    doubled quote close and open. Read in blocks; each byte is judged beside its two neighbors.
    """
    around = [*dialect.delimiter.encode(), NEWLINE, QUOTE]
    carried, inside = b"\n", 0
    while True:
        block = file.read(BLOCK)
        data = np.frombuffer(carried + (block or b"\n"), dtype=np.uint8)
        before, here, behind = data[:-2], data[1:-1], data[2:]
        if ((here == RETURN) & (behind != NEWLINE)).any():
            return True
        if dialect.quoted:
            quotes = np.flatnonzero(here == QUOTE)
            closes = (np.arange(len(quotes)) + inside) % 2 == 1
            opened, closed = before[quotes[~closes]], behind[quotes[closes]]
            if not np.isin(opened, around).all() or not np.isin(closed, [*around, RETURN]).all():
                return True
            inside = (inside + len(quotes)) % 2
        if not block:
            return bool(inside)
        carried = data[-2:].tobytes()


def _require_strict(path: Path, dialect: Dialect, columns: list[str], root: Path | None) -> None:
    """Walk the whole file with the strict reader, for the error that names the line.

    Raises:
        RowsError: a row has more or fewer cells than the header, its quotes are wrong, or it is not UTF-8.
    """
    mark = dialect.delimiter
    mend = f"Quote texts that contain {mark!r}, or use JSONL." if dialect.quoted else "Use JSONL, or say --quotes yes."
    rows = itertools.islice(_strict_cells(path, dialect, root), 1, None)
    for row, (line, cells) in enumerate(rows, start=1):
        if len(cells) != len(columns):
            raise RowsError(
                f"{path}, line {line} (row {row}): expected {len(columns)} columns, found {len(cells)}",
                mend=f"The columns are {', '.join(columns[:20])}. {mend}",
            )


def _strict_cells(
    path: Path, dialect: Dialect, root: Path | None, *, explain: bool = True
) -> Iterator[tuple[int, list[str]]]:
    """(line number, cells) of every record that is not an empty line, the header first."""
    lines = ((number, line) for number, line, _ in lines_of(path, root))
    try:
        yield from _cells_of_lines(lines, path, dialect)
    except RowsError:
        if explain:
            raise


def _cells_of_lines(lines: Iterable[tuple[int, str]], path: Path, dialect: Dialect) -> Iterator[tuple[int, list[str]]]:
    csv.field_size_limit(LONGEST_LINE)
    quoting: Any = csv.QUOTE_MINIMAL if dialect.quoted else csv.QUOTE_NONE
    reader = csv.reader((line for _, line in lines), delimiter=dialect.delimiter, quoting=quoting, strict=True)
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise RowsError(f"{path}, line {reader.line_num}: {_explain(error)}") from None
        if cells:
            yield reader.line_num, cells


def _explain(error: csv.Error) -> str:
    if "unexpected end" in str(error):
        return "the file stops in the middle of a row (a quote is never closed)"
    if "new-line character" in str(error):
        return "a carriage return stands inside a row; lines must end with a line feed, and such texts must be quoted"
    if "field larger" in str(error):
        return f"a field is longer than {LONGEST_LINE} characters; a quote was probably never closed"
    return str(error)
