"""SHA-256 of files, each computed once per process as long as the file stays what it was."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

from antivenom.core.errors import AntivenomError
from antivenom.core.intake import Raised, open_regular, require_regular

SETTLED = 2.0
"""Seconds after its last change from which a file's digest is kept: a younger file can change once more without its
time of change telling (file systems count in ticks)."""
PIECE = 2**20


def file_digest(path: Path, *, error: Raised = AntivenomError, root: Path | None = None) -> str:
    """SHA-256 of a regular file, in hexadecimal digits.

    A digest is kept for (path, device, inode, size, times of change), so a base model that several steps of one run
    ask for is read once.

    Args:
        path: The file.
        error: The class of the error to raise.
        root: The folder that it must lie in; anywhere when None.

    Raises:
        AntivenomError: of the class `error`: it cannot be read, or is no regular file inside `root`.
    """
    place = require_regular(path, error=error, root=root)
    status = place.stat()
    if time.time() - max(status.st_mtime, status.st_ctime) < SETTLED:
        return _read(place, error)
    now = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return _kept(place, now)


@lru_cache(maxsize=4096)
def _kept(place: Path, _status: tuple[int, ...]) -> str:
    return _read(place, AntivenomError)


def _read(place: Path, error: Raised) -> str:
    total = hashlib.sha256()
    with open_regular(place, error=error) as file:
        while piece := file.read(PIECE):
            total.update(piece)
    return total.hexdigest()


def digest_of_digests(found: Mapping[str, str] | Iterable[tuple[str, str]]) -> str:
    """SHA-256 over names and digests of files, in the order of their names: what a folder's content is called."""
    total = hashlib.sha256()
    for name, digest in sorted(dict(found).items()):
        total.update(name.encode() + b"\0" + bytes.fromhex(digest))
    return total.hexdigest()
