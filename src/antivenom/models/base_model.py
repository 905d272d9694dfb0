"""Find a base model and say exactly which one it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from antivenom.core.errors import AntivenomError, ArtifactError
from antivenom.core.hashing import digest_of_files
from antivenom.core.options import Options
from antivenom.models.embedded import NAME, embedded_model


@dataclass(frozen=True)
class BaseModel(Options):
    """A base model's identity."""

    id: str
    """`smollm2`, the path of a folder, or a hub name."""
    revision: str
    """The hub commit; empty for a folder."""
    sha256: str
    """Over the names and bytes of its configuration and weights."""


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
        AntivenomError: it is not there, or has no safetensors weights.
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
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise AntivenomError(
            f"the model {model!r} is neither a folder here nor can it be fetched from the hub ({reason})",
            mend=f"Check the name, or use --model {NAME} (embedded, 135M parameters).",
        ) from None
    return _located(model, folder.name, folder)


def _located(name: str, revision: str, folder: Path) -> LocatedModel:
    weights = sorted(folder.glob("*.safetensors"))
    if not weights or not (folder / "config.json").is_file():
        raise ArtifactError(
            f"{folder} holds no model (config.json and *.safetensors)",
            mend="Pickled weights are not read; convert them with save_pretrained(safe_serialization=True).",
        )
    return LocatedModel(BaseModel(name, revision, digest_of_files([folder / "config.json", *weights])), folder)
