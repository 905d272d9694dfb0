"""Find a base model, say exactly which one it is, and which of its files are ever read."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from antivenom.core.errors import AntivenomError, ArtifactError
from antivenom.core.file_digests import digest_of_digests, file_digest
from antivenom.core.files import scratch_folder
from antivenom.core.intake import read_json, reason_of, require_regular
from antivenom.core.options import Options
from antivenom.models.embedded import NAME, embedded_model

CONFIG = "config.json"
INDEX = "model.safetensors.index.json"
LARGEST_CONFIG = 2**20
"""Bytes of a model's or an adapter's configuration."""
LARGEST_INDEX = 64 * 2**20
MOST_LAYERS = 2_000
"""Of any kind that a configuration counts: each is built before its weights are looked for."""
COUNTS = ("_layers", "_layer", "depth", "depths", "_blocks", "_stages")
"""How the names of settings end that count layers."""


@dataclass(frozen=True)
class BaseModel(Options):
    """A base model's identity."""

    id: str
    """`smollm2`, the path of a folder, or a hub name."""
    revision: str
    """The hub commit; empty for a folder."""
    sha256: str
    """Over the names and bytes of its configuration, weights and index of weights."""

    @property
    def place(self) -> str:
        """What `locate_model` takes to find just this one: a folder, or a hub name with its commit."""
        return f"{self.id.partition('@')[0]}@{self.revision}" if self.revision else self.id


@dataclass(frozen=True)
class LocatedModel:
    """A base model on this machine."""

    identity: BaseModel
    folder: Path


def locate_model(model: str) -> LocatedModel:
    """Find `model` on this machine, fetching it from the hub if need be.

    Args:
        model: `smollm2` (the embedded model), a folder with safetensors weights, or a hub name with an optional
            `@revision`.

    Raises:
        AntivenomError: it is not there, has no safetensors weights, or its files are not sound.
    """
    if model == NAME:
        return _located(model, "", embedded_model())
    if Path(model).is_dir():
        return _located(str(Path(model).resolve()), "", Path(model))
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    name, _, revision = model.partition("@")
    try:
        # Only configuration, tokenizer and safetensors: neither code nor pickled weights are ever fetched.
        patterns = ["*.json", "*.safetensors", "*.model", "*.jinja", "tokenizer*", "merges.txt", "vocab*"]
        folder = Path(snapshot_download(name, revision=revision or None, allow_patterns=patterns))
    except (OSError, ValueError, HFValidationError) as error:
        raise AntivenomError(
            f"the model {model!r} is neither a folder here nor can it be fetched from the hub ({reason_of(error)})",
            mend=f"Check the name, or use --model {NAME} (embedded, 135M parameters).",
        ) from None
    return _located(model, folder.name, folder)


def weight_files(folder: Path) -> dict[str, Path]:
    """The files of a folder of full weights that are read when it is loaded, by their names.

    Those are the configuration, every safetensors file and the index of the weights; nothing else in the folder is
    ever seen by a loader (`staged`).

    Raises:
        ArtifactError: there is no model, a file is no regular one, or the index names a file outside the folder.
    """
    weights = sorted(path for path in folder.glob("*.safetensors") if path.name != "adapter_model.safetensors")
    if not weights or not (folder / CONFIG).exists():
        raise ArtifactError(
            f"{folder} holds no model ({CONFIG} and *.safetensors)",
            mend="Pickled weights are not read; convert them with save_pretrained(safe_serialization=True).",
        )
    paths = [folder / CONFIG, *weights]
    if (folder / INDEX).exists():
        _require_own_shards(folder / INDEX, {path.name for path in weights})
        paths.append(folder / INDEX)
    return {path.name: require_regular(path, error=ArtifactError) for path in paths}


@contextlib.contextmanager
def staged(files: Mapping[str, Path]) -> Iterator[Path]:
    """A folder for the loader of another library, in which it finds these files and nothing else.

    Loaders look for files by many names (adapters beside a model, templates in folders of their own, older spellings).
    What they do not find they cannot load, so that the digests cover all that is.

    Args:
        files: Where each file is, by the name it is to have.
    """
    with scratch_folder() as scratch:
        for relative, path in files.items():
            place = scratch / relative
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(path.resolve())
        yield scratch


def read_config(path: Path) -> dict[str, Any]:
    """A model's configuration, strictly read.

    Raises:
        ArtifactError: it is no JSON object, or asks for more layers than any model has or for kernels of the hub.
    """
    config = read_json(path, error=ArtifactError, most_bytes=LARGEST_CONFIG)
    if not isinstance(config, dict):
        raise ArtifactError(f"{path} is no JSON object")
    for part in [config, *(value for value in config.values() if isinstance(value, dict))]:
        for key, value in part.items():
            numbers = value if isinstance(value, list) else [value]
            if key.endswith(COUNTS) and any(isinstance(n, int | float) and n > MOST_LAYERS for n in numbers):
                raise ArtifactError(f"{path}: {key} = {value}", mend=f"At most {MOST_LAYERS} are built.")
            if key.endswith("_implementation") and "/" in str(value):  # transformers fetches such a kernel and runs it
                raise ArtifactError(
                    f"{path}: {key} = {value} asks for code to be fetched", mend="Delete it, or do not use this model."
                )
    return config


def _located(name: str, revision: str, folder: Path) -> LocatedModel:
    files = weight_files(folder)
    read_config(folder / CONFIG)
    digest = digest_of_digests({name: file_digest(path, error=ArtifactError) for name, path in files.items()})
    return LocatedModel(BaseModel(name, revision, digest), folder)


def _require_own_shards(index: Path, found: set[str]) -> None:
    """Refuse an index of weights that names other files than those beside it."""
    named = read_json(index, error=ArtifactError, most_bytes=LARGEST_INDEX)
    table = named.get("weight_map") if isinstance(named, dict) else None
    if not isinstance(table, dict) or not all(isinstance(shard, str) for shard in table.values()):
        raise ArtifactError(f"{index}: no table of weights", mend="Copy the model again.")
    strange = sorted(set(table.values()) - found)
    if strange:
        raise ArtifactError(f"{index} names {strange[0]!r}, which is not beside it", mend="Copy the model again.")
