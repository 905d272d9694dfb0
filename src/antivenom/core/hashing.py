"""Digests of files, and keyed hashes of texts: the source of every random choice about a row."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from antivenom.core.file_digests import file_digest

HASHED_AT_ONCE = 1 << 14
"""So many texts are Python objects at once: of a million rows they would take more memory than the texts."""


def digest_of_files(paths: Iterable[Path]) -> str:
    """SHA-256 over the names and bytes of `paths`, in the order of their names."""
    total = hashlib.sha256()
    for path in sorted(paths, key=lambda p: p.name):
        total.update(path.name.encode() + b"\0" + bytes.fromhex(file_digest(path)))
    return total.hexdigest()


def row_keys(texts: Any, *, seed: int, purpose: str) -> npt.NDArray[np.uint64]:
    """A keyed 64-bit hash (BLAKE2b) of each text: the source of every random choice about a row.

    It depends on (seed, purpose, text) alone, so a choice made with it does not depend on the order of the rows, on
    how they are split, or on how many workers there are; and who does not know the seed cannot steer it.

    Args:
        texts: Arrow array or chunked array of strings without nulls.
        seed: The user's seed.
        purpose: What the choice is for, so that two choices about one row are independent.

    Returns:
        One unsigned 64-bit number per text.
    """
    keyed = hashlib.blake2b(digest_size=8, key=hashlib.blake2b(f"{seed}:{purpose}".encode(), digest_size=32).digest())
    found = np.empty(len(texts), dtype="<u8")
    for first in range(0, len(texts), HASHED_AT_ONCE):
        digests = []
        for text in texts.slice(first, HASHED_AT_ONCE).cast(pa.binary()).to_pylist():
            one = keyed.copy()
            one.update(text)
            digests.append(one.digest())
        found[first : first + len(digests)] = np.frombuffer(b"".join(digests), dtype="<u8")
    return found.astype(np.uint64, copy=False)
