"""Parquet and Arrow files as batches of a bounded size, and the label names that they declare."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from antivenom.core.errors import AntivenomError, RowsError
from antivenom.core.intake import foreign, open_regular, strict_json
from antivenom.data.raw_rows import RawRows, are_names, of_tables, require_columns
from antivenom.data.read_options import ReadLimits, ReadOptions

ALWAYS_ALLOWED = 256 * 2**20
"""Bytes that a file may decode to, however small it is."""
LARGEST_BATCH = 64 * 2**20
"""Bytes of rows that are decoded together."""
BYTES_OF_A_ROW = 16
"""What a row costs at least, whatever it holds."""
NESTED_BATCH = 1000
"""Rows that are decoded together where columns hold lists or structures, whose size is not known before."""


def open_parquet(path: Path, options: ReadOptions, root: Path | None = None) -> RawRows:
    """Open a Parquet file.

    Raises:
        RowsError: it is not whole, or decodes to far more than its size.
    """
    with _parquet(path, root) as file:
        schema = file.schema_arrow
        rows = file.metadata.num_rows
    require_columns(schema.names, str(path), options.limits.most_columns)
    room = max(ALWAYS_ALLOWED, options.limits.most_expansion * path.stat().st_size)
    if rows * BYTES_OF_A_ROW > room:
        raise _too_much(path)

    def tables(wanted: list[str]) -> Iterator[pa.RecordBatch]:
        nested = any(pa.types.is_nested(schema.field(name).type) for name in wanted)
        size = min(options.batch_rows, NESTED_BATCH) if nested else options.batch_rows
        # Strings stay dictionaries, as they are in the file: a value that stands a million times is held once.
        strings = [name for name in wanted if pa.types.is_string(schema.field(name).type)]
        left = room
        with _parquet(path, root, strings) as file:
            for batch in file.iter_batches(size, columns=wanted, use_threads=False):
                left -= decoded_bytes(batch)
                if left < 0:
                    raise _too_much(path)
                yield from _in_pieces(batch.select(wanted))

    return of_tables(tables, schema.names, str(path), names=declared_names(schema))


def read_whole(path: Path, *, mend: str = "") -> pa.Table:
    """A Parquet file as one table, with its metadata; it is one that this program wrote, or claims to be.

    Raises:
        RowsError: it is no such file, or decodes to far more than its size.
    """
    open_parquet(path, ReadOptions())  # looks at its columns and counts
    left, pieces = max(ALWAYS_ALLOWED, ReadLimits().most_expansion * path.stat().st_size), list[pa.RecordBatch]()
    with _parquet(path, None) as file, foreign(f"{path} cannot be read as Parquet", error=RowsError, mend=mend):
        schema = file.schema_arrow
        for batch in file.iter_batches(NESTED_BATCH, use_threads=False):
            left -= decoded_bytes(batch)
            if left < 0:
                raise _too_much(path)
            pieces.append(batch)
    return pa.Table.from_batches(pieces, schema)


@contextlib.contextmanager
def _parquet(path: Path, root: Path | None, strings: Sequence[str] = ()) -> Iterator[Any]:
    import pyarrow.parquet as pq

    with open_regular(path, error=RowsError, root=root) as file:
        with foreign(f"{path}: not a whole Parquet file", error=RowsError):
            # A buffered stream: one that is not would hold a whole row group, which may be the whole file.
            opened = pq.ParquetFile(file, buffer_size=2**20, pre_buffer=False, read_dictionary=list(strings))
        yield opened


def open_arrow(paths: Iterable[Path], where: str, options: ReadOptions, root: Path) -> RawRows:
    """Open the Arrow files of a folder that `Dataset.save_to_disk` wrote, which follow one another.

    Raises:
        RowsError: one of them is not whole, or they have different columns.
    """
    files = list(paths)
    schemas = []
    for path in files:
        with _arrow(path, root) as file:
            schemas.append(file.schema)
    if not schemas:
        raise RowsError(f"{where}: the folder holds no rows")
    if any(schema.names != schemas[0].names for schema in schemas):
        raise RowsError(f"{where}: its files have different columns")
    require_columns(schemas[0].names, where, options.limits.most_columns)

    def tables(wanted: list[str]) -> Iterator[pa.RecordBatch]:
        for path in files:
            with _arrow(path, root) as file:
                for batch in file:
                    for start in range(0, batch.num_rows, options.batch_rows):
                        yield from _in_pieces(batch.slice(start, options.batch_rows).select(wanted))

    return of_tables(tables, schemas[0].names, where, names=declared_names(schemas[0]))


@contextlib.contextmanager
def _arrow(path: Path, root: Path) -> Iterator[Any]:
    with open_regular(path, error=RowsError, root=root) as file:
        with foreign(f"{path}: not a whole Arrow file", error=RowsError):
            opened = pa.ipc.open_stream(file)
        yield opened


def decoded_bytes(batch: pa.RecordBatch) -> int:
    """The bytes that the values of a batch take when none is a dictionary."""
    total: int = sum(map(_decoded_bytes, batch.columns)) + BYTES_OF_A_ROW * batch.num_rows
    return total


def _decoded_bytes(column: Any) -> int:
    if not isinstance(column, pa.DictionaryArray):
        return int(column.nbytes)
    lengths = pc.fill_null(pc.binary_length(column.dictionary), 0).take(column.indices)
    return int(pc.sum(pc.cast(lengths, pa.int64())).as_py() or 0)


def _in_pieces(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """The same rows in batches that stay small when they are decoded."""
    if batch.num_rows <= 1 or decoded_bytes(batch) <= LARGEST_BATCH:
        yield batch
        return
    half = batch.num_rows // 2
    yield from _in_pieces(batch.slice(0, half))
    yield from _in_pieces(batch.slice(half))


def _too_much(path: Path) -> RowsError:
    return RowsError(
        f"{path}: decodes to far more than its {path.stat().st_size} bytes",
        mend="Such a file can fill the memory. If its rows are honest, raise --most-expansion.",
    )


def declared_names(schema: pa.Schema) -> dict[str, list[str]]:
    """The names of the ClassLabel features that `datasets` wrote into a file's metadata."""
    metadata = (schema.metadata or {}).get(b"huggingface")
    try:
        said = metadata.decode() if metadata else '{"info": {"features": {}}}'
        features = strict_json(said, "metadata")["info"]["features"]
        declared = {column: f["names"] for column, f in features.items() if f.get("_type") == "ClassLabel"}
    except (AntivenomError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    return {column: names for column, names in declared.items() if are_names(names)}
