"""Read files of rows strictly: every record is returned with its number, or the file is refused with the place.

The readers of pandas and of Arrow guess types ("007" becomes 7, "NA" becomes nothing) and name no row when a file is
broken, so the text formats are read here with the standard library; Parquet, saved folders and hub names go through
the `datasets` library. Everything arrives as Arrow.
"""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from antivenom.errors import RowsError

BATCH_ROWS = 20_000
LONGEST_FIELD = 16 * 2**20
"""Characters one CSV field may have; a longer one is almost surely a quote that was never closed."""

Record = tuple[int, dict[str, Any]]


class RawRows(NamedTuple):
    """What a source holds, before anything was decided about it."""

    batches: Callable[[], Iterator[list[Record]]]
    """Yields lists of (row number from 1, column -> value)."""
    columns: list[str]
    names: list[str] | None = None
    """The label names that the source itself declares (a ClassLabel feature), by number."""


def open_source(source: str, split: str = "train") -> RawRows:
    """Recognize `source`: a file by its ending, a folder saved by `datasets`, or a data-set name of the hub.

    Raises:
        RowsError: there is no such file, or its format is not known.
    """
    path = Path(source)
    readers = {".jsonl": _open_jsonl, ".ndjson": _open_jsonl, ".csv": _open_csv, ".tsv": _open_tsv}
    if path.suffix.lower() in readers or path.suffix.lower() == ".parquet":
        if not path.is_file():
            raise RowsError(f"there is no file {source!r}")
        return readers.get(path.suffix.lower(), _open_parquet)(path)
    if path.is_dir():
        return _open_folder(path, split)
    if path.exists():
        raise RowsError(
            f"{source!r}: rows cannot be read from a {path.suffix or 'nameless'} file",
            mend="Use .jsonl, .csv, .tsv, .parquet, a folder saved by datasets, or a hub data-set name.",
        )
    return _open_hub(source, split)


def _batched(records: Iterator[Record]) -> Iterator[list[Record]]:
    while batch := list(itertools.islice(records, BATCH_ROWS)):
        yield batch


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


def _open_jsonl(path: Path) -> RawRows:
    first = next(_jsonl_records(path), None)
    if first is None:
        raise RowsError(f"{path}: the file holds no rows")
    return RawRows(lambda: _batched(_jsonl_records(path)), list(first[1]))


def _jsonl_records(path: Path) -> Iterator[Record]:
    row = 0
    for number, line in _lines(path):
        if not line.strip():
            continue
        row += 1
        try:
            record = json.loads(line)
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


def _open_csv(path: Path) -> RawRows:
    return _open_delimited(path, ",", csv.QUOTE_MINIMAL)


def _open_tsv(path: Path) -> RawRows:
    # TSV has no quoting (IANA text/tab-separated-values): a quotation mark is a character of the text.
    return _open_delimited(path, "\t", csv.QUOTE_NONE)


def _open_delimited(path: Path, delimiter: str, quoting: int) -> RawRows:
    def header() -> list[str]:
        return next(_cells(path, delimiter, quoting), (0, []))[1]

    def records() -> Iterator[Record]:
        for row, (line, cells) in enumerate(itertools.islice(_cells(path, delimiter, quoting), 1, None), start=1):
            if len(cells) != len(columns):
                raise RowsError(
                    f"{path}, line {line} (row {row}): expected {len(columns)} columns, found {len(cells)}",
                    mend=f"The columns are {', '.join(columns)}. Quote texts that contain {delimiter!r}, or use JSONL.",
                )
            yield row, dict(zip(columns, cells, strict=True))

    columns = header()
    if not columns:
        raise RowsError(f"{path}: the file is empty")
    repeated = {name for name in columns if columns.count(name) > 1}
    if repeated:
        raise RowsError(f"{path}: column {sorted(repeated)[0]!r} appears twice in the header")
    return RawRows(lambda: _batched(records()), columns)


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
            stops = "unexpected end" in str(error)
            what = "the file stops in the middle of a row (a quote is never closed)" if stops else str(error)
            raise RowsError(f"{path}, line {reader.line_num}: {what}") from None
        if cells:
            yield reader.line_num, cells


def _open_parquet(path: Path) -> RawRows:
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise RowsError(f"{path}: not a whole Parquet file ({error})") from None
    names = _declared_names(file.schema_arrow)

    def batches() -> Iterator[list[Record]]:
        row = itertools.count(1)
        try:
            for batch in file.iter_batches(batch_size=BATCH_ROWS):
                yield [(next(row), record) for record in batch.to_pylist()]
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise RowsError(f"{path}: the file is damaged after row {next(row) - 1} ({error})") from None

    return RawRows(batches, list(file.schema_arrow.names), names)


def _declared_names(schema: pa.Schema) -> list[str] | None:
    """The names of the only ClassLabel feature that `datasets` wrote into the file's metadata."""
    metadata = (schema.metadata or {}).get(b"huggingface")
    try:
        features = json.loads(metadata)["info"]["features"] if metadata else {}
        found = [f["names"] for f in features.values() if isinstance(f, dict) and f.get("_type") == "ClassLabel"]
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return [str(name) for name in found[0]] if len(found) == 1 else None


def _open_folder(path: Path, split: str) -> RawRows:
    """Open what `Dataset.save_to_disk` wrote, or a folder that `load_dataset` can read."""
    import datasets

    try:
        if (path / "dataset_dict.json").exists() or (path / "state.json").exists():
            loaded = datasets.load_from_disk(str(path))
        else:
            loaded = datasets.load_dataset(str(path))
    except Exception as error:
        raise RowsError(f"{path}: the datasets library cannot read this folder ({error})") from None
    return open_dataset(_choose_split(loaded, split, str(path)))


def _open_hub(name: str, split: str) -> RawRows:
    import datasets

    try:
        loaded = datasets.load_dataset(name)
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RowsError(
            f"{name!r} is neither a file or folder here nor a hub data set that can be reached ({reason})",
            mend="Check the path. Hub names look like stanfordnlp/sst2 and need a connection or a filled cache.",
        ) from None
    return open_dataset(_choose_split(loaded, split, name))


def _choose_split(loaded: Any, split: str, where: str) -> Any:
    if not hasattr(loaded, "keys"):
        return loaded
    if split not in loaded:
        raise RowsError(f"{where}: there is no split {split!r}", mend=f"There are: {', '.join(loaded)}. Use --split.")
    return loaded[split]


def open_dataset(dataset: Any) -> RawRows:
    """Open a `datasets.Dataset` that is already in hand; it stays memory-mapped."""

    def batches() -> Iterator[list[Record]]:
        row = itertools.count(1)
        for batch in dataset.with_format("arrow").iter(batch_size=BATCH_ROWS):
            yield [(next(row), record) for record in batch.to_pylist()]

    names = [f.names for f in dataset.features.values() if hasattr(f, "names") and hasattr(f, "int2str")]
    return RawRows(batches, list(dataset.column_names), list(names[0]) if len(names) == 1 else None)


def open_records(records: Sequence[dict[str, Any]]) -> RawRows:
    """Open rows that are already Python dictionaries."""
    columns = list(dict.fromkeys(key for record in records for key in record))
    return RawRows(lambda: _batched(iter(enumerate(records, start=1))), columns)
