"""The one door out: everything that the program writes or removes goes through here.

- Files are written under a temporary name and renamed, so that a crash or a full disk leaves the old file or none.
- Only regular files are replaced. A link, a device or a pipe is refused, and no link is followed.
- A folder is written to when it is new, empty, or ours: our own note in it says so (`core/claims.py`), never its name.
- The umask is honored; what holds the secret can be read by its owner alone.

A process that was killed leaves temporary names; the next one that writes the same target removes them.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from antivenom.core.errors import ArtifactError, OptionsError
from antivenom.core.locks import is_still, try_lock

GONE = ".gone-"
"""What the name of a folder begins with that is being removed."""
PART = ".antivenom-part"
"""Ending of temporary names."""
STAMP = "made-by-antivenom"
"""Stands inside every file of ours that a user names, so that a later run may replace it."""
STAMP_REACH = 64 * 1024
"""Bytes at the beginning and at the end of a file in which its stamp must stand."""


@contextlib.contextmanager
def atomic_write(path: Path, mode: str = "w", *, private: bool = False) -> Iterator[IO[Any]]:
    """Open a temporary file beside `path` that takes its name when the block ends, and vanishes if it fails.

    Args:
        path: The file; folders above it are made.
        mode: `w` or `wb`.
        private: Only the owner can read it.

    Raises:
        ArtifactError: `path` is there, and is no regular file.
    """
    _require_regular(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = _new_part(path, 0o600 if private else 0o666)
    try:
        with os.fdopen(handle, mode, encoding=None if "b" in mode else "utf-8") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_json(path: Path, data: Any, *, private: bool = False) -> None:
    """Write JSON for people and diffs: indented, sorted keys, a newline at the end."""
    with atomic_write(path, private=private) as file:
        json.dump(data, file, indent=2, sort_keys=True, ensure_ascii=False)
        file.write("\n")


@contextlib.contextmanager
def append_from(path: Path, keep: int, *, private: bool = False) -> Iterator[IO[str]]:
    """Open a file of text for appending behind its first `keep` bytes; what stands behind them is cut off.

    Raises:
        ArtifactError: it is no regular file.
    """
    _require_regular(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW
    handle = os.open(path, flags, 0o600 if private else 0o666)
    with os.fdopen(handle, "a", encoding="utf-8") as file:
        os.ftruncate(file.fileno(), keep)
        file.seek(0, os.SEEK_END)
        yield file


def require_replaceable(path: Path, *, option: str, force: bool = False) -> None:
    """Raise unless a file that the user names is new, ours, or given up with --force.

    Args:
        path: Where the file is to go.
        option: The option that names it, for the message.
        force: Whether a foreign file may be replaced; links, folders and devices never are.

    Raises:
        ArtifactError: it is there, and is not ours.
    """
    _require_regular(path)
    if path.exists() and not force and not is_stamped(path):
        raise ArtifactError(
            f"{path} exists and was not made by antivenom", mend=f"Choose another {option}, or add --force."
        )


def require_outputs(named: Mapping[str, str | None], *, force: bool) -> None:
    """Raise, before any work is done, unless every file that the user names can be written.

    Args:
        named: Option and path; options that were not given have None.
        force: See `require_replaceable`.
    """
    taken = dict[Path, str]()
    for option, path in named.items():
        if path is not None:
            require_replaceable(Path(path), option=option, force=force)
            if (other := taken.setdefault(Path(path).resolve(), option)) != option:
                raise OptionsError(f"{other} and {option} both name {path}", mend="Name two files.")


def is_stamped(path: Path) -> bool:
    """Whether a file says inside that this program made it."""
    with path.open("rb") as file:
        head = file.read(STAMP_REACH)
        file.seek(max(0, path.stat().st_size - STAMP_REACH))
        return STAMP.encode() in head or STAMP.encode() in file.read(STAMP_REACH)


def make_folder(folder: Path, *, private: bool = False) -> Path:
    """Make a folder and those above it.

    Raises:
        ArtifactError: it is there as a file or a link.
    """
    require_folder(folder)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700 if private else 0o777)
    return folder


@contextlib.contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A scratch folder that takes the name `folder` when the block ends, and vanishes if it fails.

    A folder that has the name already is replaced, so the caller must know that it is ours.
    """
    require_folder(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    handle, scratch = _new_part(folder, 0o700, is_folder=True)
    try:
        yield scratch
        remove_tree(folder)
        scratch.rename(folder)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    finally:
        os.close(handle)


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """A private temporary folder that vanishes when the block ends; what killed processes of ours left goes as well."""
    handle, scratch = _new_part(Path(tempfile.gettempdir(), f"antivenom-{os.geteuid()}"), 0o700, is_folder=True)
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        os.close(handle)


def remove_file(path: Path) -> None:
    """Remove a file of ours, if it is there; of a link, the link alone."""
    path.unlink(missing_ok=True)


def remove_tree(folder: Path, *, last: Sequence[str] = ()) -> None:
    """Remove a folder of ours with all that is in it, if it is there; links in it are removed, not followed.

    Killed on the way, it leaves no folder inside that looks whole, and what is named last is still there.

    Args:
        folder: The folder.
        last: Names of files in it by which a repeated command knows whose it is.

    Raises:
        ArtifactError: it is a file or a link.
    """
    require_folder(folder)
    if not folder.exists():
        return
    for entry in sorted(folder.iterdir(), key=lambda one: (one.name in last, one.name)):
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry if entry.name.startswith(GONE) else entry.rename(folder / f"{GONE}{entry.name}"))
        elif entry.name not in last:
            entry.unlink()
    for name in last:
        (folder / name).unlink(missing_ok=True)
    folder.rmdir()


def remove_if_empty(folder: Path) -> None:
    """Remove a folder that holds nothing any more."""
    with contextlib.suppress(OSError):
        folder.rmdir()


def user_cache() -> Path:
    """Where downloads and converted models are kept: `$ANTIVENOM_CACHE`, or the platform's cache folder.

    Raises:
        OptionsError: the user has no home folder.
    """
    chosen = os.environ.get("ANTIVENOM_CACHE")
    if chosen:
        return Path(chosen)
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "antivenom"
    except RuntimeError:
        raise OptionsError(
            "there is no home folder to keep models in", mend="Set ANTIVENOM_CACHE to a folder of yours."
        ) from None


def own_cache(name: str) -> Path:
    """A folder of the cache that nobody but this user (or root) can have written to; it is made if it is not there.

    What a cache holds is used again without being computed again, so what others put there must not be.

    Args:
        name: The folder, below `user_cache`.

    Raises:
        OptionsError: it belongs to another user, or all may write to it.
        ArtifactError: it is there as a file.
    """
    folder = user_cache() / name
    if not folder.is_dir():
        make_folder(folder, private=True)
    status = folder.stat()
    if status.st_uid not in (os.geteuid(), 0):
        raise OptionsError(
            f"the cache {folder} belongs to another user", mend="Set ANTIVENOM_CACHE to a folder of your own."
        )
    if status.st_mode & stat.S_IWOTH:
        raise OptionsError(f"everybody may write to the cache {folder}", mend=f"Say `chmod o-w {folder}`.")
    return folder


def _require_regular(path: Path) -> None:
    """Refuse to write where anything but a regular file stands."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        return
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "a link" if stat.S_ISLNK(mode) else "a device or a pipe"
        raise ArtifactError(f"{path} is {kind}, not a file", mend="Name a new file.")


def require_folder(folder: Path) -> None:
    """Refuse to write into what is there and is no real folder.

    Raises:
        ArtifactError: it is a file or a link.
    """
    if folder.is_symlink():
        raise ArtifactError(f"{folder} is a link", mend="Name the folder that it points to.")
    if folder.exists() and not folder.is_dir():
        raise ArtifactError(f"{folder} is a file", mend="Choose another --out.")


def _new_part(target: Path, mode: int, *, is_folder: bool = False) -> tuple[int, Path]:
    """A new temporary file or folder beside `target`, locked for as long as its handle is open."""
    stem = f".{target.name[:100]}."
    _sweep(target.parent, stem)
    while True:
        part = target.with_name(f"{stem}{secrets.token_hex(4)}{PART}")
        flags = os.O_RDONLY if is_folder else os.O_WRONLY | os.O_CREAT | os.O_EXCL
        if is_folder:
            part.mkdir(mode=mode)
        with contextlib.suppress(FileNotFoundError):  # a sweeping process may have removed it before it was locked
            handle = os.open(part, flags | os.O_CLOEXEC, mode)
            if try_lock(handle) and is_still(part, handle):
                return handle, part
            os.close(handle)


def _sweep(folder: Path, stem: str) -> None:
    """Remove temporary files and folders whose processes are dead."""
    for part in folder.glob(f"{glob.escape(stem)}*{PART}"):
        with contextlib.suppress(OSError):
            handle = os.open(part, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                if os.fstat(handle).st_uid == os.geteuid() and try_lock(handle):
                    shutil.rmtree(part) if part.is_dir() else part.unlink()
            finally:
                os.close(handle)
