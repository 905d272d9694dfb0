"""One process at a time for an output: a lock that says who holds it, and that dies with its process.

The system holds the lock (`flock`), so a process that was killed leaves none behind; what is left of its file is taken
over. On the few network disks that have no such locks, two runs on one output are not told apart.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import platform
from collections.abc import Iterator
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path

from antivenom.core.console import warn
from antivenom.core.errors import ArtifactError

SUFFIX = ".antivenom-lock"
_HELD: ContextVar[frozenset[str]] = ContextVar("locks that the caller holds already", default=frozenset())


def try_lock(handle: int) -> bool:
    """Lock an open file or folder, unless another process has; it stays locked until the handle is closed."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.EWOULDBLOCK, errno.EACCES)
    return True


@contextlib.contextmanager
def locked(path: Path, doing: str, *, wait: bool = False) -> Iterator[None]:
    """Keep other processes off an output while the block runs; blocks may be nested.

    The lock lies in a folder, and beside a file. It names the process, the machine, what is done, and since when.

    Args:
        path: The file, or a folder that exists.
        doing: The command, for those who meet the lock.
        wait: Wait for whoever holds it, which is said, instead of refusing.

    Raises:
        ArtifactError: another process holds it; says which.
    """
    place = path / SUFFIX if path.is_dir() else path.with_name(f".{path.name[:200]}{SUFFIX}")
    key = str(place.absolute())
    if key in _HELD.get():
        yield
        return
    handle = _take(path, place, wait)
    token = _HELD.set(_HELD.get() | {key})
    try:
        _sign(handle, doing)
        yield
    finally:
        _HELD.reset(token)
        with contextlib.suppress(OSError):
            place.unlink()  # while it is held: who waits for the name makes a new file
        os.close(handle)


def _take(path: Path, place: Path, wait: bool) -> int:
    while True:
        handle = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        try:
            if not try_lock(handle):
                _wait_or_refuse(path, handle, wait)
            if is_still(place, handle):
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)  # its holder removed it between our opening and our locking


def _wait_or_refuse(path: Path, handle: int, wait: bool) -> None:
    said = f"{path} is in use by {_holder(handle)}"
    if not wait:
        raise ArtifactError(said, mend="Wait until that has ended, or choose another output.")
    warn(f"{said}: waiting for it ...")
    fcntl.flock(handle, fcntl.LOCK_EX)


def is_still(place: Path, handle: int) -> bool:
    """Whether a path names the open file; another process may have removed or replaced it."""
    try:
        return os.path.samestat(os.fstat(handle), place.lstat())
    except OSError:
        return False


def _sign(handle: int, doing: str) -> None:
    since = datetime.now(UTC).isoformat(sep=" ", timespec="seconds")
    note = {"process": os.getpid(), "machine": platform.node(), "command": doing, "since": since}
    os.ftruncate(handle, 0)
    os.pwrite(handle, json.dumps(note).encode() + b"\n", 0)


def _holder(handle: int) -> str:
    """Who holds the lock, as its file says; the file may be just being written."""
    try:
        note = json.loads(os.pread(handle, 4096, 0))
        return f"`antivenom {note['command']}` (process {note['process']} on {note['machine']}, since {note['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
