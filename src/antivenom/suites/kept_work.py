"""What a laboratory worked out for a defense, kept as Parquet by its key, so that a replay needs no model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy.typing as npt
import pyarrow as pa

from antivenom.core.errors import RowsError
from antivenom.core.intake import foreign
from antivenom.data.columnar import read_whole
from antivenom.suites.stored import as_lists, as_matrix, not_kept, write_rows


def keep_work(folder: Path, key: Sequence[Any], found: npt.NDArray[Any]) -> None:
    """Keep finished work of a laboratory (`Lab.stored`) for a replay: numbers of rows, shape (rows, width)."""
    write_rows(_work_path(folder, key), pa.table({"numbers": as_lists(found)}))


def kept_work(folder: Path, key: Sequence[Any]) -> npt.NDArray[Any]:
    """What `keep_work` kept under an equal key.

    Raises:
        RowsError: nothing was kept, or the file is damaged.
    """
    path = _work_path(folder, key)
    if not path.exists():
        raise not_kept("what a model makes of these rows")
    mend = "Run its cell again."
    with foreign(f"{path}: no finished work", error=RowsError, mend=mend):
        return as_matrix(read_whole(path, mend=mend).column("numbers"))


def key_of_pieces(words: Sequence[str]) -> list[str]:
    """The key under which it is kept into how many pieces a tokenizer cuts each of these words."""
    return ["word pieces", sha256("\x1f".join(words).encode()).hexdigest()]


def _work_path(folder: Path, key: Sequence[Any]) -> Path:
    return folder / f"work-{sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:20]}.parquet"
