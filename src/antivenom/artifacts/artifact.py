"""The artifact: a folder that PEFT and transformers load as it is, plus `antivenom.json`, written last.

The manifest names everything the guard was made for. Loading refuses anything else, and never runs code from the
folder: adapters and models are read from safetensors alone.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from antivenom.artifacts.manifest import MANIFEST, Manifest
from antivenom.core.claims import claim_of, require_empty
from antivenom.core.errors import AntivenomError, ArtifactError
from antivenom.core.files import make_folder, remove_file, write_json
from antivenom.core.hashing import digest_of_files
from antivenom.guards.guard import Guard
from antivenom.models.base_model import BaseModel, LocatedModel
from antivenom.models.base_store import BaseStore

WORK = "work"
"""Folder inside a run that holds its checkpoints; it is removed when the artifact is complete."""
HIDDEN = "(hidden)"
WEIGHTS = ("adapter_model.safetensors", "adapter_config.json")
FULL_WEIGHTS = ("config.json", "generation_config.json", "model.safetensors", "model.safetensors.index.json")
CONFIGURATIONS = (
    "adapter_config.json",
    "config.json",
    "tokenizer_config.json",
    "processor_config.json",
    "preprocessor_config.json",
)
CODE_KEYS = ("auto_map", "auto_mapping", "trust_remote_code", "megatron_config")
"""Settings with which transformers or PEFT import modules that the folder names."""


@dataclass(frozen=True)
class Artifact:
    """A finished artifact on disk."""

    folder: Path
    manifest: Manifest

    @property
    def guard(self) -> Guard:
        """Wraps inputs and reads outputs."""
        return self.manifest.guard

    def verify(self, *, model: str | None = None, store: BaseStore | None = None) -> LocatedModel:
        """Refuse a changed adapter, another tokenizer or another base model.

        Args:
            model: Where the base model is, if not where it was when the artifact was made.
            store: The base models of a run, which hashes each once.

        Returns:
            The base model that the adapter belongs to.

        Raises:
            ArtifactError: says which of them does not match.
        """
        _require_no_pickle(self.folder)
        _require_no_foreign_code(self.folder)
        if self.manifest.base_model is None:
            raise ArtifactError(
                f"{self.folder} holds rebuilt rows, not a model", mend="Train on them, then run `antivenom finish`."
            )
        if _digest(_weight_files(self.folder)) != self.manifest.weights_sha256:
            raise ArtifactError(f"{self.folder}: the weights were changed after training", mend="Restore the folder.")
        if _digest(_tokenizer_files(self.folder)) != self.manifest.tokenizer_sha256:
            raise ArtifactError(
                f"{self.folder}: this is another tokenizer than the one it was trained with", mend="Restore the folder."
            )
        located = self._located(model or _with_revision(self.manifest.base_model), store or BaseStore())
        if located.identity.sha256 != self.manifest.base_model.sha256:
            raise ArtifactError(
                f"the base model {located.identity.id!r} is another one than the adapter was trained on",
                mend=f"Expected SHA-256 {self.manifest.base_model.sha256}, found {located.identity.sha256}.",
            )
        return located

    def _located(self, model: str, store: BaseStore) -> LocatedModel:
        try:
            return store.locate(model)
        except AntivenomError as error:
            reason = error.what
            raise ArtifactError(
                f"{self.folder} needs its base model: {reason}", mend="Say with --model where that is."
            ) from None


def load_artifact(folder: Path | str) -> Artifact:
    """Open a finished artifact; `verify` compares it with what is on disk.

    Raises:
        ArtifactError: it is not finished, damaged, or of a newer format.
    """
    return Artifact(Path(folder), Manifest.read(Path(folder)))


def show(folder: Path | str, *, reveal: bool = False, model: str | None = None) -> dict[str, Any]:
    """What an artifact is, after comparing it with its manifest; secrets are hidden unless `reveal` is set.

    `model` says where the base model is, if not where it was when the artifact was made.

    Raises:
        ArtifactError: something does not match.
    """
    artifact = load_artifact(folder)
    artifact.verify(model=model)
    facts = artifact.manifest.to_dict()
    if not reveal:
        facts["guard"]["secret"] = {name: HIDDEN if words else "" for name, words in facts["guard"]["secret"].items()}
        facts["seed"] = HIDDEN
    return facts


def save_artifact(folder: Path, model: Any, tokenizer: Any, manifest: Manifest) -> Artifact:
    """Write weights and tokenizer, then the manifest, so that a folder with a manifest is complete."""
    make_folder(folder)
    # PEFT asks the hub whether the vocabulary was resized unless it is told that embeddings are not saved.
    options = {"save_embedding_layers": False} if hasattr(model, "peft_config") else {}
    model.save_pretrained(folder, **options)
    tokenizer.save_pretrained(folder)
    remove_file(folder / "README.md")
    return seal(folder, manifest)


def seal(folder: Path, manifest: Manifest) -> Artifact:
    """Write the manifest with the digests of what is in `folder`: from here on, any change is refused.

    Raises:
        ArtifactError: the folder holds no safetensors weights, no tokenizer, or files that can run code.
    """
    _require_no_pickle(folder)
    weights, tokenizer = _weight_files(folder), _tokenizer_files(folder)
    if not any(path.suffix == ".safetensors" for path in weights):
        raise ArtifactError(f"{folder} holds no safetensors weights", mend="Save the model there first.")
    if not tokenizer:
        raise ArtifactError(f"{folder} holds no tokenizer", mend="Save it there: tokenizer.save_pretrained(folder).")
    sealed = replace(manifest, weights_sha256=_digest(weights), tokenizer_sha256=_digest(tokenizer))
    write_json(folder / MANIFEST, sealed.to_dict(), private=True)
    return Artifact(folder, sealed)


def require_free(folder: Path) -> None:
    """Raise unless `folder` is new, empty, or an unfinished run of ours: nothing of the user's is ever overwritten.

    Raises:
        ArtifactError: it holds anything else.
    """
    if (folder / MANIFEST).exists():
        raise ArtifactError(f"{folder} already holds a finished artifact", mend="Choose another --out, or delete it.")
    if claim_of(folder) is None:
        require_empty(folder)


def _weight_files(folder: Path) -> list[Path]:
    names = WEIGHTS if (folder / WEIGHTS[0]).exists() else FULL_WEIGHTS
    shards = sorted(folder.glob("model-*.safetensors")) if names is FULL_WEIGHTS else []
    return [folder / name for name in names if (folder / name).exists()] + shards


def _tokenizer_files(folder: Path) -> list[Path]:
    known = ("tokenizer", "special_tokens_map", "added_tokens", "vocab", "merges", "chat_template", "spiece")
    of_images = ("processor_config", "preprocessor_config")
    return [path for path in sorted(folder.iterdir()) if path.is_file() and path.name.startswith(known + of_images)]


def _require_no_pickle(folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        # The checkpoints of our own fit are still there while it seals the folder; loading never looks at them.
        ours = path.relative_to(folder).parts[0] == WORK
        if not ours and path.suffix in {".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".py"}:
            raise ArtifactError(
                f"{path} does not belong in an artifact: such files can run code when they are loaded",
                mend="Delete it if you know where it came from; otherwise do not use this folder.",
            )


def _require_no_foreign_code(folder: Path) -> None:
    """Refuse configurations that name code to import, even where today's loaders would not follow them."""
    for name in CONFIGURATIONS:
        path = folder / name
        try:
            config = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        except (OSError, ValueError, RecursionError) as error:
            raise ArtifactError(f"{path} is damaged ({type(error).__name__})") from None
        # A processor's configuration holds those of its parts.
        parts = [config, *config.values()] if isinstance(config, dict) else []
        asked = [key for part in parts if isinstance(part, dict) for key in CODE_KEYS if part.get(key)]
        if asked:
            raise ArtifactError(
                f"{path} asks for code to be imported ({asked[0]})",
                mend="Artifacts hold no code. Do not use this folder unless you know where it came from.",
            )


def _digest(paths: list[Path]) -> str:
    return digest_of_files(paths) if paths else ""


def _with_revision(model: BaseModel) -> str:
    return f"{model.id.partition('@')[0]}@{model.revision}" if model.revision else model.id
