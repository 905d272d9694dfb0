"""Digests of rows, the same however an Arrow table is cut into chunks."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from antivenom.data.query import extras_as_text


class TableDigest:
    """SHA-256 over the strings of some columns, fed with tables piece by piece."""

    def __init__(self, columns: tuple[str, ...] = ("text", "answer")) -> None:
        self.columns = columns
        self._parts = [(hashlib.sha256(), hashlib.sha256()) for _ in columns]

    def update(self, table: Any) -> None:
        """Add the rows of an Arrow table; how they are cut into tables and chunks does not matter."""
        for column, (lengths, content) in zip(self.columns, self._parts, strict=True):
            for chunk in table.column(column).chunks:
                offsets, data = string_buffers(chunk)
                lengths.update(np.diff(offsets).astype("<i8").data)
                content.update(data.data)

    def hexdigest(self) -> str:
        """The digest of all rows so far."""
        total = hashlib.sha256()
        for column, (lengths, content) in zip(self.columns, self._parts, strict=True):
            total.update(column.encode() + lengths.digest() + content.digest())
        return total.hexdigest()


def digest_of_table(table: Any, columns: tuple[str, ...] = ("text", "answer")) -> str:
    """SHA-256 over the strings of `columns`, the same however the Arrow table is cut into chunks.

    A context or an image that the rows have counts as well.
    """
    extras = extras_as_text(table)
    table = table.select(list(columns))
    for name, strings in extras.items():
        table = table.append_column(name, strings)
    digest = TableDigest((*columns, *extras))
    digest.update(table)
    return digest.hexdigest()


def string_buffers(array: Any) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """(where each string begins and ends, the UTF-8 bytes of all) of an Arrow string array without nulls."""
    array = array.cast(pa.large_string())
    _, places, content = array.buffers()
    if not len(array) or content is None:
        return np.zeros(len(array) + 1, dtype=np.int64), np.zeros(0, dtype=np.uint8)
    offsets = np.frombuffer(places, dtype=np.int64)[array.offset : array.offset + len(array) + 1]
    data = np.frombuffer(content, dtype=np.uint8)[offsets[0] : offsets[-1]]
    return offsets - offsets[0], data
