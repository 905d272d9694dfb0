"""Checkpoints that prove themselves whole: a note of every file and its size, written last."""

from __future__ import annotations

import os
import re
from pathlib import Path

from antivenom.core.errors import AntivenomError
from antivenom.core.files import write_json
from antivenom.core.intake import read_json

NOTE = "complete.json"


def seal_checkpoint(folder: Path) -> None:
    """Note the files of a finished checkpoint and their sizes, once all of them are on the disk."""
    sizes = _sizes(folder)
    for name in sizes:
        handle = os.open(folder / name, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    write_json(folder / NOTE, sizes)


def latest_checkpoint(work: Path) -> str | None:
    """The last whole checkpoint in `work`: one that was left empty, cut or half written is skipped."""
    found = [(int(match[1]), path) for path in work.glob("checkpoint-*") if (match := _name(path))]
    whole = (path for _, path in sorted(found, reverse=True) if _is_whole(path))
    latest = next(whole, None)
    return None if latest is None else str(latest)


def _name(path: Path) -> re.Match[str] | None:
    return re.fullmatch(r"checkpoint-(\d+)", path.name)


def _is_whole(folder: Path) -> bool:
    try:
        noted = read_json(folder / NOTE, root=folder)
    except AntivenomError:
        return False
    sizes = _sizes(folder)
    return isinstance(noted, dict) and bool(noted) and all(sizes.get(name) == size for name, size in noted.items())


def _sizes(folder: Path) -> dict[str, int]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != NOTE)
    return {path.relative_to(folder).as_posix(): path.stat().st_size for path in files}
