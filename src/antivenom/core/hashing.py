"""Digests of files, and keyed hashes of texts: the source of every random choice about a row."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


def digest_of_files(paths: Iterable[Path]) -> str:
    """SHA-256 over the names and bytes of `paths`, in the order of their names."""
    total = hashlib.sha256()
    for path in sorted(paths, key=lambda p: p.name):
        with path.open("rb") as file:
            inner = hashlib.file_digest(file, "sha256").digest()
        total.update(path.name.encode() + b"\0" + inner)
    return total.hexdigest()


def row_keys(texts: Any, *, seed: int, purpose: str) -> npt.NDArray[np.uint64]:
    """A keyed 64-bit hash (SipHash-2-4) of each text: the source of every random choice about a row.

    It depends on (seed, purpose, text) alone, so a choice made with it does not depend on the order of the rows, on
    how they are split, or on how many workers there are; and who does not know the seed cannot steer it.

    Args:
        texts: Arrow array or chunked array of strings without nulls.
        seed: The user's seed.
        purpose: What the choice is for, so that two choices about one row are independent.

    Returns:
        One unsigned 64-bit number per text.
    """
    from pandas.util import hash_array

    key = hashlib.blake2b(f"{seed}:{purpose}".encode(), digest_size=8).hexdigest()
    values = texts.to_numpy(zero_copy_only=False).astype(object) if len(texts) else np.array([], dtype=object)
    hashed: npt.NDArray[np.uint64] = hash_array(values, hash_key=key, categorize=False)
    return hashed
