"""The manifest `antivenom.json`: what the guard is, and everything it was made for."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from antivenom.core.errors import ArtifactError, OptionsError
from antivenom.core.options import Options
from antivenom.guards.guard import Guard
from antivenom.models.base_model import BaseModel

MANIFEST = "antivenom.json"
FORMAT_VERSION = 2
READABLE_VERSIONS = (1, 2)
RECORDED_PACKAGES = ("antivenom", "torch", "transformers", "peft", "datasets", "pillow", "torchvision")


@dataclass(frozen=True)
class Manifest(Options):
    """What `antivenom.json` says: the guard, and what it was made for."""

    format_version: int
    """Raised when an older reader would misunderstand the file."""
    guard: Guard
    """Wraps inputs and reads outputs."""
    base_model: BaseModel | None
    """The model the adapter belongs to; none while only the rows are rebuilt."""
    reserve: dict[str, Any]
    """The reserve policy, its size and its digest; empty without a reserve."""
    data: dict[str, Any]
    """Digests of the rows and where they came from."""
    training: dict[str, Any]
    """The recipe, steps and device."""
    seed: int
    """Keys every random choice."""
    versions: dict[str, str]
    """Package versions at training time."""
    tokenizer_sha256: str = ""
    """Over the artifact's tokenizer files."""
    weights_sha256: str = ""
    """Over the adapter (or the full model) and its configuration."""
    notes: tuple[str, ...] = field(default=())
    """What a reader must know, such as an approximation."""

    @classmethod
    def describe(
        cls,
        guard: Guard,
        *,
        reserve: dict[str, Any],
        base_model: BaseModel | None,
        training: dict[str, Any],
        data: dict[str, Any],
        seed: int,
    ) -> Manifest:
        """Say everything but the digests of files that are not written yet."""
        return cls(FORMAT_VERSION, guard, base_model, reserve, data, training, seed, _versions())

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Read and check the manifest of a folder.

        Raises:
            ArtifactError: it is missing, unreadable, of a newer format, or holds an unknown or malformed key.
        """
        path = folder / MANIFEST
        if not path.is_file():
            raise ArtifactError(
                f"{folder} is not a finished artifact: it has no {MANIFEST}",
                mend="Repeat the command that made it to finish it, or check the path.",
            )
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            found = data["format_version"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise ArtifactError(f"{path} is damaged ({type(error).__name__}: {error})") from None
        if not isinstance(found, int) or isinstance(found, bool) or found not in READABLE_VERSIONS:
            raise ArtifactError(
                f"{path} has format version {found!r}; this program reads {FORMAT_VERSION}",
                mend="Upgrade antivenom." if isinstance(found, int) and found > FORMAT_VERSION else "",
            )
        try:
            return cls.from_dict(_renamed(data))
        except OptionsError as error:
            raise ArtifactError(f"{path}: {error.what}", mend="The file was changed, or is not ours.") from None


def _renamed(data: dict[str, Any]) -> dict[str, Any]:
    """Format 1 has the two halves of the secret in the guard itself, and may call `answers` its `labels`."""
    guard = data.get("guard")
    if isinstance(guard, dict) and "benign_trigger" in guard and "secret" not in guard:
        data["format_version"] = FORMAT_VERSION
        guard["secret"] = {"trigger": guard.pop("benign_trigger"), "cue": guard.pop("cue", "")}
    if isinstance(guard, dict) and "labels" in guard and "answers" not in guard:
        data["guard"] = {("answers" if key == "labels" else key): value for key, value in guard.items()}
    return data


def _versions() -> dict[str, str]:
    found = {}
    for package in RECORDED_PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
