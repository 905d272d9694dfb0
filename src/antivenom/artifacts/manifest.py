"""The manifest `antivenom.json`: what the guard is, and everything it was made for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from antivenom.core.errors import ArtifactError, OptionsError
from antivenom.core.files import write_json
from antivenom.core.intake import read_json
from antivenom.core.options import Options
from antivenom.guards.guard import Guard
from antivenom.models.base_model import BaseModel

MANIFEST = "antivenom.json"
FORMAT_VERSION = 3
"""3: the manifest holds a digest of itself. Earlier versions are read where they describe rows alone."""
EARLIER = (1, 2)
SELF = "manifest_sha256"
LARGEST_MANIFEST = 16 * 2**20
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
    manifest_sha256: str = ""
    """Over the canonical form of everything else here; `write` computes it, `read` checks it."""

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
            ArtifactError: it is missing, unreadable, of another format, changed since it was written, or holds an
                unknown or malformed key.
        """
        path = folder / MANIFEST
        if not path.exists():
            raise ArtifactError(
                f"{folder} is not a finished artifact: it has no {MANIFEST}",
                mend="Repeat the command that made it to finish it, or check the path.",
            )
        data = read_json(path, error=ArtifactError, most_bytes=LARGEST_MANIFEST)
        if not isinstance(data, dict):
            raise ArtifactError(f"{path} is no JSON object", mend="The file was changed, or is not ours.")
        _require_unchanged(path, data)
        try:
            return cls.from_dict(_renamed(data))
        except OptionsError as error:
            raise ArtifactError(f"{path}: {error.what}", mend="The file was changed, or is not ours.") from None

    def write(self, folder: Path) -> Manifest:
        """Write it into a folder with the digest of itself, readable by its owner alone, and return it so."""
        current = replace(self, format_version=FORMAT_VERSION)
        data = json.loads(json.dumps(current.to_dict()))
        sealed = replace(current, manifest_sha256=digest_of_manifest(data))
        write_json(folder / MANIFEST, sealed.to_dict(), private=True)
        return sealed


def digest_of_manifest(data: Mapping[str, Any]) -> str:
    """SHA-256 over a manifest's canonical form: JSON without `manifest_sha256`, keys sorted, no white space."""
    said = {key: value for key, value in data.items() if key != SELF}
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _require_unchanged(path: Path, data: dict[str, Any]) -> None:
    """Refuse another format, and a manifest that is not what its digest says."""
    found = data.get("format_version")
    if type(found) is not int or found not in (*EARLIER, FORMAT_VERSION):
        raise ArtifactError(
            f"{path} has format version {found!r}; this program reads {FORMAT_VERSION}",
            mend="Upgrade antivenom." if isinstance(found, int) and found > FORMAT_VERSION else "",
        )
    if found in EARLIER and data.get("base_model") is not None:
        raise ArtifactError(
            f"{path} has format version {found}, which could be changed unnoticed",
            mend=f"Remove {MANIFEST} there, and bind the folder again with `antivenom finish`.",
        )
    if found == FORMAT_VERSION and data.get(SELF) != digest_of_manifest(data):
        raise ArtifactError(f"{path} was changed after it was written", mend="Restore it, or make the artifact again.")


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
