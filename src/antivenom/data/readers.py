"""Read files of rows strictly: every record is returned with its number, or the file is refused with the place.

The readers of pandas and of Arrow guess types ("007" becomes 7, "NA" becomes nothing) and name no row when a file is
broken, so the text formats are read by `text_files`; Parquet, saved folders and hub names go through
the `datasets` library. Everything arrives as Arrow.
"""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pyarrow as pa

from antivenom.core.errors import RowsError
from antivenom.data.embedded_data import PREFIX, embedded_records
from antivenom.data.text_files import (
    Record,
    delimited_header,
    delimited_records,
    json_records,
    jsonl_records,
    trec_records,
)

BATCH_ROWS = 20_000

ROWS_THAT_SHOW_COLUMNS = 1000
"""So many rows of a JSONL file are looked at for its columns; any of them may leave a key out."""


class RawRows(NamedTuple):
    """What a source holds, before anything was decided about it."""

    batches: Callable[[list[str]], Iterator[list[Record]]]
    """Given the columns that are wanted, yields lists of (row number from 1, column -> value)."""
    columns: list[str]
    names: Mapping[str, list[str]] = MappingProxyType({})
    """The label names, by number, of each column for which the source declares them (a ClassLabel feature)."""


def open_source(source: str, split: str = "train") -> RawRows:
    """Recognize `source`: a file by its ending, a folder saved by `datasets`, or a data-set name of the hub.

    `embedded:rotten_tomatoes` and `embedded:bbc_news` are the data sets of the demo.

    Raises:
        RowsError: there is no such file, or its format is not known.
    """
    if source.startswith(PREFIX):
        return open_records(embedded_records(source))
    path = Path(source)
    readers = {
        ".jsonl": _open_jsonl,
        ".ndjson": _open_jsonl,
        ".json": _open_json,
        ".txt": _open_trec,
        ".label": _open_trec,
        ".csv": _open_csv,
        ".tsv": _open_tsv,
    }
    if path.is_dir():
        return _open_folder(path, split)
    if path.suffix.lower() in readers or path.suffix.lower() == ".parquet":
        if not path.is_file():
            raise RowsError(f"there is no file {source!r}")
        return readers.get(path.suffix.lower(), _open_parquet)(path)
    if path.exists():
        raise RowsError(
            f"{source!r}: rows cannot be read from a {path.suffix or 'nameless'} file",
            mend="Use .jsonl, .json, .csv, .tsv, .parquet, a folder saved by datasets, or a hub data-set name.",
        )
    return _open_hub(source, split)


def _batched(records: Iterator[Record]) -> Iterator[list[Record]]:
    while batch := list(itertools.islice(records, BATCH_ROWS)):
        yield batch


def _open_jsonl(path: Path) -> RawRows:
    return _open_objects(path, jsonl_records)


def _open_json(path: Path) -> RawRows:
    return _open_objects(path, json_records)


def _open_trec(path: Path) -> RawRows:
    return _open_objects(path, trec_records)


def _open_objects(path: Path, records: Callable[[Path], Iterator[Record]]) -> RawRows:
    first = list(itertools.islice(records(path), ROWS_THAT_SHOW_COLUMNS))
    if not first:
        raise RowsError(f"{path}: the file holds no rows")
    return RawRows(lambda _: _batched(records(path)), _columns_of(record for _, record in first))


def _open_csv(path: Path) -> RawRows:
    return _open_delimited(path, ",", csv.QUOTE_MINIMAL)


def _open_tsv(path: Path) -> RawRows:
    # TSV has no quoting (IANA text/tab-separated-values): a quotation mark is a character of the text.
    return _open_delimited(path, "\t", csv.QUOTE_NONE)


def _open_delimited(path: Path, delimiter: str, quoting: int) -> RawRows:
    columns = delimited_header(path, delimiter, quoting)
    if not columns:
        raise RowsError(f"{path}: the file is empty")
    _require_unrepeated(columns, str(path))
    return RawRows(lambda _: _batched(delimited_records(path, delimiter, quoting, columns)), columns)


def _columns_of(records: Iterable[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(key for record in records for key in record))


def _open_parquet(path: Path) -> RawRows:
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        columns = list(file.schema_arrow.names)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise RowsError(f"{path}: not a whole Parquet file ({error})") from None
    _require_unrepeated(columns, str(path))

    def batches(wanted: list[str]) -> Iterator[list[Record]]:
        return _numbered((b.select(wanted) for b in file.iter_batches(BATCH_ROWS, columns=wanted)), str(path))

    return RawRows(batches, columns, _declared_names(file.schema_arrow))


def _numbered(batches: Iterable[pa.RecordBatch | pa.Table], where: str) -> Iterator[list[Record]]:
    """Turn Arrow batches into records; what Arrow or Python cannot represent is refused with the place."""
    row = itertools.count(1)
    try:
        for batch in batches:
            yield [(next(row), record) for record in batch.to_pylist()]
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        raise RowsError(f"{where}: a value after row {next(row) - 1} is damaged or unreadable ({error})") from None


def _declared_names(schema: pa.Schema) -> dict[str, list[str]]:
    """The names of the ClassLabel features that `datasets` wrote into the file's metadata."""
    metadata = (schema.metadata or {}).get(b"huggingface")
    try:
        features = json.loads(metadata)["info"]["features"] if metadata else {}
        declared = {column: f["names"] for column, f in features.items() if f.get("_type") == "ClassLabel"}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}
    return {column: names for column, names in declared.items() if _are_names(names)}


def _are_names(names: object) -> bool:
    strings = isinstance(names, list) and all(isinstance(n, str) and n.strip() and is_unicode(n) for n in names)
    return strings and len(set(names)) == len(names)  # type: ignore[call-overload, arg-type]


def is_unicode(text: str) -> bool:
    """Whether `text` can be stored at all: a lone surrogate, which JSON may spell, is no character."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _require_unrepeated(columns: list[str], where: str) -> None:
    repeated = {name for name in columns if columns.count(name) > 1}
    if repeated:
        raise RowsError(f"{where}: column {sorted(repeated)[0]!r} appears twice in the header")


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

    def batches(wanted: list[str]) -> Iterator[list[Record]]:
        return _numbered(dataset.select_columns(wanted).with_format("arrow").iter(BATCH_ROWS), "the data set")

    features = dataset.features.items()
    names = {column: list(f.names) for column, f in features if hasattr(f, "int2str") and _are_names(f.names)}
    return RawRows(batches, list(dataset.column_names), names)


def open_records(records: Sequence[Mapping[str, Any]]) -> RawRows:
    """Open rows that are already Python dictionaries."""
    for number, record in enumerate(records, start=1):
        if not isinstance(record, Mapping):
            raise RowsError(f"row {number}: expected a dictionary, got {type(record).__name__}")
    return RawRows(lambda _: _batched(enumerate(records, start=1)), _columns_of(records))
