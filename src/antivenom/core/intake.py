"""The one door in: what others made is opened here, or not at all.

A file is opened only if it is regular, lies inside the folder that it belongs to, and is no larger than allowed. JSON
is read strictly. Loaders of other libraries run inside `foreign`, so that whatever they raise becomes an error that
names the file, the reason and how to mend it.

    with open_regular(path, error=ArtifactError, root=folder, most_bytes=LARGEST_NOTE) as file: ...
    facts = read_json(folder / "antivenom.json", error=ArtifactError, root=folder)
    with foreign(f"{folder}: the tokenizer cannot be loaded", error=ArtifactError, mend="Copy it again."): ...
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from antivenom.core.errors import AntivenomError

LARGEST_NOTE = 64 * 2**20
"""Bytes that a file of JSON (a manifest, a configuration, a tokenizer) may have unless the caller says otherwise."""

DEEPEST_JSON = 200
"""Levels of lists and objects inside one another."""

MOST_FILES = 100_000
"""Files of a folder that is walked whole."""

LONGEST_REASON = 600

Raised = type[AntivenomError]


def require_regular(
    path: Path | str, *, error: Raised = AntivenomError, root: Path | str | None = None, most_bytes: int | None = None
) -> Path:
    """Refuse what is no regular file inside `root`, before a library that opens files by name gets it.

    Args:
        path: The file; links are followed, and where they lead must be inside `root` as well.
        error: The class of the error to raise.
        root: The folder that the file belongs to; anywhere when None.
        most_bytes: The largest size that is accepted; any when None.

    Returns:
        The path with all links resolved.

    Raises:
        AntivenomError: of the class `error`; it says which of the conditions is not met.
    """
    place = _inside(Path(path), root, error)
    try:
        found = place.stat()
    except (OSError, ValueError) as reason:
        raise _unopened(path, reason, error) from None
    _require(path, found, error, most_bytes)
    return place


def open_regular(
    path: Path | str, *, error: Raised = AntivenomError, root: Path | str | None = None, most_bytes: int | None = None
) -> BinaryIO:
    """Open a regular file inside `root` for reading bytes; the arguments and errors are those of `require_regular`.

    The file that was checked is the file that is read, whatever its name means a moment later.
    """
    place = require_regular(path, error=error, root=root, most_bytes=most_bytes)
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
    try:
        handle = os.open(place, flags)
    except OSError as reason:
        raise _unopened(path, reason, error) from None
    try:
        _require(path, os.fstat(handle), error, most_bytes)
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def read_bytes(
    path: Path | str,
    *,
    error: Raised = AntivenomError,
    root: Path | str | None = None,
    most_bytes: int = LARGEST_NOTE,
) -> bytes:
    """All bytes of a regular file inside `root`, at most `most_bytes`; errors are those of `require_regular`."""
    with open_regular(path, error=error, root=root, most_bytes=most_bytes) as file:
        size = os.fstat(file.fileno()).st_size
        try:
            found = file.read(size + 1)  # as many bytes are allocated as are asked for
        except OSError as reason:
            raise _unopened(path, reason, error) from None
    if len(found) > size:
        raise error(f"{path} grew while it was read", mend="Wait until it is written, and repeat the command.")
    return found


def read_text(
    path: Path | str,
    *,
    error: Raised = AntivenomError,
    root: Path | str | None = None,
    most_bytes: int = LARGEST_NOTE,
) -> str:
    """The text of a regular UTF-8 file inside `root`; errors are those of `require_regular`."""
    try:
        return read_bytes(path, error=error, root=root, most_bytes=most_bytes).decode("utf-8")
    except UnicodeDecodeError as reason:
        raise error(f"{path}: byte {reason.start} is not UTF-8", mend="Save the file as UTF-8.") from None


def read_json(
    path: Path | str,
    *,
    error: Raised = AntivenomError,
    root: Path | str | None = None,
    most_bytes: int = LARGEST_NOTE,
) -> Any:
    """The value of a JSON file, read as `strict_json` says; errors are those of `require_regular` and it."""
    return strict_json(read_text(path, error=error, root=root, most_bytes=most_bytes), str(path), error=error)


def strict_json(text: str, where: str, *, error: Raised = AntivenomError, deepest: int = DEEPEST_JSON) -> Any:
    """The value of a JSON text that every reader of JSON reads alike.

    Args:
        text: The text.
        where: What it is, for the error.
        error: The class of the error to raise.
        deepest: The number of levels that are accepted.

    Raises:
        AntivenomError: of the class `error`: it is not JSON, a key stands twice in one object, a number is not finite,
            a string holds half a character, or it is nested too deeply.
    """
    require_shallow(text, where, error=error, deepest=deepest)
    try:
        value = _STRICT.decode(text)
        if "\\u" in text:  # a lone surrogate is spelled so; a value that holds one cannot be written again
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as reason:
        raise error(f"{where}: not strict JSON: {reason_of(reason)}") from None
    return value


def require_shallow(text: str, where: str, *, error: Raised = AntivenomError, deepest: int = DEEPEST_JSON) -> None:
    """Refuse a JSON text that is nested deeper than `deepest`, without recursion and in linear time."""
    if text.count("[") + text.count("{") <= deepest:
        return
    depth = 0
    for match in _BRACKETS.finditer(text):
        mark = match.group()[0]
        depth += 1 if mark in "[{" else -1 if mark in "]}" else 0
        if depth > deepest:
            raise error(f"{where}: nested more than {deepest} levels deep")


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object for `object_pairs_hook`; a key that stands twice is refused: readers disagree which one counts."""
    found = dict(pairs)
    if len(found) < len(pairs):
        key, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"the key {key[:80]!r} stands twice")
    return found


def regular_files(
    folder: Path | str,
    *,
    error: Raised = AntivenomError,
    root: Path | str | None = None,
    most_files: int = MOST_FILES,
    skip: Callable[[Path], bool] = lambda _: False,
) -> list[Path]:
    """Every file below a folder, sorted by name, after checking that each is regular and inside `root`.

    Args:
        folder: The folder; links to folders inside it are not followed but refused.
        error: The class of the error to raise.
        root: What all files must be inside of; the folder itself when None. The hub's cache keeps its files in a folder
            beside the one that is named, so there it is the folder above.
        most_files: The number of files that are accepted.
        skip: Which paths are not looked at.

    Raises:
        AntivenomError: of the class `error`; it names the first file that is refused.
    """
    found: list[Path] = []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not skip(Path(place, name)))
        for name in folders:
            if Path(place, name).is_symlink():
                raise error(f"{Path(place, name)}: a link to a folder", mend="Copy the folder itself.")
        for path in (Path(place, name) for name in sorted(names)):
            if skip(path):
                continue
            require_regular(path, error=error, root=folder if root is None else root)
            found.append(path)
            if len(found) > most_files:
                raise error(f"{folder}: more than {most_files} files")
    return found


@contextlib.contextmanager
def foreign(what: str, *, error: Raised = AntivenomError, mend: str = "") -> Iterator[None]:
    """Turn whatever another library raises on hostile or damaged input into an error of ours.

    Args:
        what: What could not be done, naming the file; the reason is put behind it.
        error: The class of the error to raise.
        mend: How to mend it.

    Raises:
        AntivenomError: of the class `error`. Errors of ours pass through as they are, and so do interruptions.
    """
    try:
        yield
    except AntivenomError:
        raise
    except Exception as reason:
        raise error(f"{what} ({reason_of(reason)})", mend=mend) from reason
    except BaseException as reason:
        if type(reason).__name__ != "PanicException":  # what Rust extensions raise on a bug; not an Exception
            raise
        raise error(f"{what} ({reason_of(reason)})", mend=mend) from reason


def reason_of(error: BaseException) -> str:
    """What an exception says, in one line, with its type where the message alone would not be understood."""
    said = " ".join(str(error).split())
    if isinstance(error, OSError) and error.strerror:
        said = error.strerror if error.filename is None else f"{error.strerror}: {error.filename}"
    said = said if len(said) <= LONGEST_REASON else f"{said[:LONGEST_REASON]} ..."
    plain = isinstance(error, ValueError | OSError) and bool(said)
    return said if plain else f"{type(error).__name__}: {said}" if said else type(error).__name__


def _inside(path: Path, root: Path | str | None, error: Raised) -> Path:
    try:
        place = path.resolve()
        home = None if root is None else Path(root).resolve()
    except (OSError, ValueError, RuntimeError) as reason:  # a loop of links, a null character, a name too long
        raise _unopened(path, reason, error) from None
    if home is not None and not place.is_relative_to(home):
        raise error(f"{path}: leads out of {root}", mend="Copy the file itself into the folder, instead of a link.")
    return place


def _require(path: Path | str, found: os.stat_result, error: Raised, most_bytes: int | None) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise error(f"{path}: a folder, where a file was expected")
    if not stat.S_ISREG(found.st_mode):
        raise error(f"{path}: a pipe, socket or device, not a regular file", mend="Save it to a file first.")
    if most_bytes is not None and found.st_size > most_bytes:
        raise _too_large(path, found.st_size, most_bytes, error)


def _too_large(path: Path | str, size: int, most_bytes: int, error: Raised) -> AntivenomError:
    return error(f"{path}: {size} bytes, more than the {most_bytes} that are read")


def _unopened(path: Path | str, reason: BaseException, error: Raised) -> AntivenomError:
    if isinstance(reason, FileNotFoundError | NotADirectoryError):
        return error(f"there is no file {str(path)!r}")
    said = (reason.strerror if isinstance(reason, OSError) else None) or str(reason)
    return error(f"{path}: cannot be read ({said})")


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"the number {digits[:40]} is out of range")
    return value


_STRICT = json.JSONDecoder(object_pairs_hook=unique_keys, parse_constant=_refuse_constant, parse_float=_finite)
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\Z)|[\[{\]}]', re.DOTALL)
