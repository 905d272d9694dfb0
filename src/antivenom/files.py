"""Digests of files and rows, and writing that a crash cannot leave half done."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

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


def digest_of_table(table: Any, columns: tuple[str, ...] = ("text", "answer")) -> str:
    """SHA-256 over the strings of `columns`, the same however the Arrow table is cut into chunks."""
    import pyarrow.compute as pc

    total = hashlib.sha256()
    for column in columns:
        lengths, content = hashlib.sha256(), hashlib.sha256()
        for chunk in table.column(column).chunks:
            lengths.update(pc.binary_length(chunk).to_numpy(zero_copy_only=False).astype("<i8").tobytes())
            content.update("".join(chunk.to_pylist()).encode("utf-8"))
        total.update(column.encode() + lengths.digest() + content.digest())
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


@contextlib.contextmanager
def atomic_write(path: Path, mode: str = "w", *, private: bool = False) -> Iterator[IO[Any]]:
    """Open a temporary file beside `path` that takes its name when the block ends, and vanishes if it fails.

    A `private` file can be read by its owner alone.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        with temporary.open(mode, encoding=None if "b" in mode else "utf-8") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if not private:
            temporary.chmod(0o644)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_json(path: Path, data: Any, *, private: bool = False) -> None:
    """Write JSON for people and diffs: indented, sorted keys, a newline at the end."""
    with atomic_write(path, private=private) as file:
        json.dump(data, file, indent=2, sort_keys=True, ensure_ascii=False)
        file.write("\n")


def user_cache() -> Path:
    """Where downloads and converted models are kept: `$ANTIVENOM_CACHE`, or the platform's cache folder."""
    chosen = os.environ.get("ANTIVENOM_CACHE")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "antivenom"
