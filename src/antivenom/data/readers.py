"""Open any source of rows strictly: every record is returned with its number, or the source is refused with the place.

One reader for each format serves single files and folders alike. Only data sets of the hub go through the `datasets`
library, which fetches them; whatever it would guess of CSV cells is switched off.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from antivenom.core.errors import RowsError
from antivenom.core.intake import reason_of
from antivenom.data.columnar import open_parquet
from antivenom.data.delimited import open_delimited
from antivenom.data.embedded_data import PREFIX, embedded_records
from antivenom.data.folders import open_folder
from antivenom.data.raw_rows import RawRows, are_names, columns_of, of_records, of_tables
from antivenom.data.read_options import ReadOptions
from antivenom.data.text_files import Reader, json_records, jsonl_records, open_objects, trec_records

OBJECTS: Mapping[str, Reader] = {
    ".jsonl": jsonl_records,
    ".ndjson": jsonl_records,
    ".json": json_records,
    ".txt": trec_records,
    ".label": trec_records,
}
HUB_NAME = re.compile(r"[\w.-]+(/[\w.-]+)?")
MEND_FORMAT = "Use .jsonl, .json, .csv, .tsv, .parquet, a folder of such files, or a hub data-set name."


def open_source(source: str, options: ReadOptions = ReadOptions()) -> RawRows:
    """Recognize `source`: a file by its ending, a folder, or a data-set name of the hub.

    A configuration of a folder or hub data set may follow its name: `openai/gsm8k:main`. `embedded:rotten_tomatoes`
    and `embedded:bbc_news` are the data sets of the demo.

    Raises:
        RowsError: there is no such file, or its format is not known.
    """
    if source.startswith(PREFIX):
        return open_records(embedded_records(source))
    try:
        there = Path(source).exists()
        if not there and ":" in source and not options.config:
            source, _, config = source.rpartition(":")
            options = ReadOptions(options.split, config, options.quotes, options.limits, options.batch_rows)
        path = Path(source)
        is_folder, is_file = path.is_dir(), path.exists()
    except (OSError, ValueError) as error:  # a name too long, or with a null character
        raise RowsError(f"{source[:200]!r}: no name of a file ({reason_of(error)})") from None
    if is_folder:
        return open_folder(path, options, open_file)
    suffix = path.suffix.lower()
    if is_file or path.is_symlink() or suffix in (".csv", ".tsv", ".parquet", *OBJECTS):
        if options.config:
            raise RowsError(f"{source}: a file has no configurations, and {options.config!r} was named")
        return open_file(path, options)
    return _open_hub(source, options)


def open_file(path: Path, options: ReadOptions, root: Path | None = None) -> RawRows:
    """Open one file of rows; inside `root`, where it belongs to a folder.

    Raises:
        RowsError: it cannot be read, or its format is not known.
    """
    suffix = path.suffix.lower()
    if suffix in (".csv", ".tsv"):
        return open_delimited(path, options, root)
    if suffix == ".parquet":
        return open_parquet(path, options, root)
    if suffix in OBJECTS:
        return open_objects(OBJECTS[suffix], path, options.limits, root)
    raise RowsError(f"{str(path)!r}: rows cannot be read from a {suffix or 'nameless'} file", mend=MEND_FORMAT)


def _open_hub(name: str, options: ReadOptions) -> RawRows:
    if not HUB_NAME.fullmatch(name):
        raise RowsError(f"there is no file {name!r}, and it is no hub data-set name", mend=MEND_FORMAT)
    import datasets

    load = partial(datasets.load_dataset, name, options.config or None)
    try:
        loaded = load()
        found = _choose_split(loaded, options.split, name)
        if getattr(found, "builder_name", None) == "csv":
            # Its reader guesses types and what is missing; told that all are strings, it leaves cells as written.
            strings = datasets.Features(dict.fromkeys(found.column_names, datasets.Value("string")))
            found = _choose_split(load(features=strings, na_filter=False), options.split, name)
    except RowsError:
        raise
    except Exception as error:
        raise _unreachable(name, options.config, error) from None
    return open_dataset(found)


def _unreachable(name: str, config: str, error: Exception) -> RowsError:
    said = reason_of(error)
    if "onfig" in said and "available" in said:
        what = f"there is no configuration {config!r}" if config else "several configurations, and none was named"
        return RowsError(
            f"the hub data set {name}: {what} ({said})", mend=f"Name one of them: {name}:CONFIG, or --config CONFIG."
        )
    return RowsError(
        f"{name!r} is neither a file or folder here nor a hub data set that can be reached ({said})",
        mend="Check the path. Hub names look like stanfordnlp/sst2 and need a connection or a filled cache.",
    )


def _choose_split(loaded: Any, split: str, where: str) -> Any:
    if not hasattr(loaded, "keys"):
        return loaded
    if split not in loaded:
        raise RowsError(f"{where}: there is no split {split!r}", mend=f"There are: {', '.join(loaded)}. Use --split.")
    return loaded[split]


def open_dataset(dataset: Any, batch_rows: int = ReadOptions.batch_rows) -> RawRows:
    """Open a `datasets.Dataset` that is already in hand; it stays memory-mapped."""

    def tables(wanted: list[str]) -> Iterator[pa.RecordBatch]:
        for table in dataset.select_columns(wanted).with_format("arrow").iter(batch_rows):
            yield from table.to_batches()

    features = dataset.features.items()
    names = {column: list(f.names) for column, f in features if hasattr(f, "int2str") and are_names(f.names)}
    return of_tables(tables, list(dataset.column_names), "the data set", names=names)


def open_records(records: Sequence[Mapping[str, Any]]) -> RawRows:
    """Open rows that are already Python dictionaries."""
    for number, record in enumerate(records, start=1):
        if not isinstance(record, Mapping):
            raise RowsError(f"row {number}: expected a dictionary, got {type(record).__name__}")
    return of_records(lambda: iter(records), columns_of(records))
