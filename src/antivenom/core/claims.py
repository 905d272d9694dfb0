"""Which folders are ours: a note inside says so, never a name. Written to is only what is new, empty or ours."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from antivenom.core.errors import AntivenomError, ArtifactError
from antivenom.core.files import (
    PART,
    make_folder,
    remove_file,
    remove_if_empty,
    require_folder,
    require_outputs,
    write_json,
)
from antivenom.core.intake import read_json
from antivenom.core.locks import SUFFIX, locked

NOTE = ".antivenom-folder.json"
"""Says that a folder was made by this program, and for what."""
LARGEST_CLAIM = 2**16
LABORATORY = "laboratory"
"""What a folder is called that keeps finished fits and their numbers."""


@dataclass(frozen=True)
class Claim:
    """What our note in a folder says."""

    what: str
    """The kind of output, such as `fit` or `comparison`."""
    settings: str = ""
    """A digest of everything that decides it; empty where runs of other settings may share the folder."""


def claim(folder: Path, what: str, settings: str = "") -> None:
    """Make a folder ours: it must be new, empty, or hold our note for the same thing, and no links.

    Raises:
        ArtifactError: it holds anything else; nothing in it was touched.
    """
    require_folder(folder)
    wanted, found = Claim(what, settings), claim_of(folder)
    if found == wanted:
        require_no_links(folder)
        return
    if found is not None:
        other = "other settings" if found.what == what else f"a {found.what}"
        raise ArtifactError(
            f"{folder} holds an unfinished run of {other}",
            mend="Repeat that run's command to finish it, choose another --out, or delete the folder.",
        )
    require_empty(folder)
    write_json(folder / NOTE, {"antivenom": 1, **asdict(wanted)}, private=True)


def claim_of(folder: Path) -> Claim | None:
    """What our note in a folder says; none where there is no note of ours."""
    path = folder / NOTE
    try:
        data: Any = {} if path.is_symlink() else read_json(path, root=folder, most_bytes=LARGEST_CLAIM)
        return Claim(str(data["what"]), str(data["settings"])) if data.get("antivenom") == 1 else None
    except (AntivenomError, KeyError, AttributeError, TypeError):
        return None


def release(folder: Path) -> None:
    """Remove our note: the folder is finished, or was given back."""
    if claim_of(folder) is not None:
        remove_file(folder / NOTE)


@contextlib.contextmanager
def new_output(folder: Path, doing: str) -> Iterator[None]:
    """A folder that a command fills while the block runs, and that stands for itself when the block has ended.

    A command that was killed finds its half again when it is repeated; one that failed before it wrote gives it back.

    Raises:
        ArtifactError: the folder holds something that is not ours, or another process writes to it.
    """
    with output_folder(folder, doing):
        claim(folder, doing)
        try:
            yield
        except BaseException:
            if {path.name for path in folder.iterdir()} <= {NOTE, SUFFIX}:
                release(folder)
            raise
        release(folder)


@contextlib.contextmanager
def laboratory(folder: Path, doing: str) -> Iterator[None]:
    """A folder of ours in which finished work stays, and where one process at a time goes on.

    Raises:
        ArtifactError: the folder holds something that is not ours, or another process writes to it.
    """
    with output_folder(folder, doing):
        claim(folder, LABORATORY)
        yield


@contextlib.contextmanager
def named_outputs(named: Mapping[str, str | None], doing: str, *, force: bool) -> Iterator[None]:
    """Files that the user names and that a command writes at its end: no other process writes them meanwhile.

    Args:
        named: Option and path; options that were not given have None.
        doing: The command, for those who meet a lock.
        force: Whether foreign files may be replaced; links, folders and devices never are.

    Raises:
        ArtifactError: one of them is there and is not ours, or another process writes it.
    """
    require_outputs(named, force=force)
    with contextlib.ExitStack() as stack:
        for path in sorted({Path(path) for path in named.values() if path is not None}):
            make_folder(path.parent)
            stack.enter_context(locked(path, doing))
        yield


def require_no_links(folder: Path) -> None:
    """Refuse a folder of ours into which somebody put links: what is written there would go elsewhere.

    Raises:
        ArtifactError: names the first.
    """
    for place, folders, names in os.walk(folder):
        for path in (Path(place, name) for name in (*folders, *names)):
            if path.is_symlink():
                raise ArtifactError(f"{path} is a link", mend="Remove it: nothing here writes through links.")


def require_empty(folder: Path) -> None:
    """Raise if a folder exists and holds anything that is not a trace of our own locks and temporary files.

    Raises:
        ArtifactError: names the first thing in it.
    """
    require_folder(folder)
    if not folder.exists():
        return
    names = sorted(path.name for path in folder.iterdir() if not path.name.endswith((SUFFIX, PART)))
    if names:
        raise ArtifactError(f"{folder} is not empty (it holds {names[0]})", mend="Choose another --out.")


@contextlib.contextmanager
def output_folder(folder: Path, doing: str) -> Iterator[Path]:
    """Make a folder and keep other processes off it while the block runs; a new one that stays empty is removed.

    Args:
        folder: The folder.
        doing: The command, for those who meet the lock.

    Raises:
        ArtifactError: it is a file or a link, or another process writes to it; says which.
    """
    is_new = not folder.exists()
    make_folder(folder)
    try:
        with locked(folder, doing):
            yield folder
    finally:
        if is_new:
            remove_if_empty(folder)
