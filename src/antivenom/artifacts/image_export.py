"""Write rows with images: Parquet that says what is in it, so that `datasets` and trainers decode the images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from antivenom.core.errors import OptionsError
from antivenom.core.files import atomic_write

ROWS_TOGETHER = 64
"""Rows of one row group: images make them heavy."""


def stored_image(encoded: bytes | None) -> dict[str, Any] | None:
    """An image as `datasets` stores it; null where a row has none."""
    return None if encoded is None else {"bytes": encoded, "path": None}


def write_image_records(
    path: Path, records: Iterable[Mapping[str, Any]], kinds: Mapping[str, str], *, private: bool = False
) -> None:
    """Write records to Parquet.

    Args:
        path: The file; its ending is .parquet.
        records: Rows with the columns that `kinds` names.
        kinds: What each column holds: `string`, `image`, `images` (a list) or `messages`.
        private: Only the owner can read the file.

    Raises:
        OptionsError: the file has another ending.
    """
    import pyarrow.parquet as pq

    if path.suffix != ".parquet":
        raise OptionsError(f"images cannot be written to a {path.suffix or 'nameless'} file", mend="Use .parquet.")
    schema = _schema(kinds)
    with atomic_write(path, "wb", private=private) as file, pq.ParquetWriter(file, schema) as writer:
        for group in _groups(iter(records)):
            writer.write_table(pa.Table.from_pylist(group, schema=schema))


def _schema(kinds: Mapping[str, str]) -> pa.Schema:
    from datasets import Features, Image, List, Value

    string = Value("string")
    known = {
        "string": string,
        "image": Image(),
        "images": List(Image()),
        "messages": List({"role": string, "content": string}),
    }
    return Features({name: known[kind] for name, kind in kinds.items()}).arrow_schema


def _groups(records: Iterator[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    while group := list(islice(records, ROWS_TOGETHER)):
        yield group
