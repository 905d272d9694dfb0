"""Digests of files, and keyed hashes of texts: the source of every random choice about a row."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from antivenom.core.file_digests import file_digest


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
    # Each distinct text is hashed once: rows repeat, and so do their answers.
    distinct, places = _coded(texts)
    keyed = hashlib.blake2b(digest_size=8, key=hashlib.blake2b(f"{seed}:{purpose}".encode(), digest_size=32).digest())
    digests = bytearray()
    for text in distinct:
        one = keyed.copy()
        one.update(text.encode())
        digests += one.digest()
    return np.frombuffer(bytes(digests), dtype="<u8").astype(np.uint64)[places]


def _coded(texts: Any) -> tuple[list[str], npt.NDArray[np.int64]]:
    """The distinct texts, and for each text the place of its own among them."""
    coded = texts.dictionary_encode()
    if not hasattr(coded, "chunks"):
        return coded.dictionary.to_pylist(), coded.indices.to_numpy().astype(np.int64)
    unified = coded.unify_dictionaries()
    if not unified.num_chunks:
        return [], np.zeros(0, dtype=np.int64)
    parts = [chunk.indices.to_numpy() for chunk in unified.chunks]
    return unified.chunk(0).dictionary.to_pylist(), np.concatenate(parts).astype(np.int64)
