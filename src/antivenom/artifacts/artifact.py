"""The artifact: a folder that PEFT and transformers load as it is, plus `antivenom.json`, written last.

The manifest names everything the guard was made for. Loading refuses anything else, and never runs code from the
folder: adapters and models are read from safetensors alone.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from antivenom.artifacts.card import CARD, write_card
from antivenom.artifacts.folder_contents import (
    WORK,
    digest_of,
    require_harmless,
    require_no_foreign_code,
    tokenizer_files,
    trained_files,
)
from antivenom.artifacts.manifest import MANIFEST, Manifest
from antivenom.artifacts.signature import require_signed
from antivenom.core.claims import claim_of, require_empty
from antivenom.core.errors import AntivenomError, ArtifactError
from antivenom.core.files import make_folder, remove_file
from antivenom.guards.guard import Guard
from antivenom.models.base_model import BaseModel, LocatedModel
from antivenom.models.base_store import BaseStore

__all__ = ["WORK", "Artifact", "load_artifact", "require_free", "save_artifact", "seal", "show"]

HIDDEN = "(hidden)"
TRUSTED_KEY = "ANTIVENOM_TRUSTED_KEY"
"""A public key of minisign; where it is set, an artifact without a valid signature of it is never loaded."""


@dataclass(frozen=True)
class Artifact:
    """A finished artifact on disk."""

    folder: Path
    manifest: Manifest

    @property
    def guard(self) -> Guard:
        """Wraps inputs and reads outputs."""
        return self.manifest.guard

    def require_unchanged(self) -> None:
        """Refuse changed weights, another tokenizer, files that run code, and what a trusted key has not signed.

        Raises:
            ArtifactError: says which of them does not match.
        """
        require_harmless(self.folder)
        require_no_foreign_code(self.folder)
        if key := os.environ.get(TRUSTED_KEY):
            require_signed(self.folder, Path(key))
        self._trained_on()
        if digest_of(trained_files(self.folder)) != self.manifest.weights_sha256:
            raise ArtifactError(f"{self.folder}: the weights were changed after training", mend="Restore the folder.")
        if digest_of(tokenizer_files(self.folder)) != self.manifest.tokenizer_sha256:
            raise ArtifactError(
                f"{self.folder}: this is another tokenizer than the one it was trained with", mend="Restore the folder."
            )

    def verify(self, *, model: str | None = None, store: BaseStore | None = None) -> LocatedModel:
        """The same, and refuse another base model.

        Args:
            model: Where the base model is, if not where it was when the artifact was made.
            store: The base models of a run, which hashes each once.

        Returns:
            The base model that the adapter belongs to.

        Raises:
            ArtifactError: says which of them does not match.
        """
        self.require_unchanged()
        base = self._trained_on()
        located = self._located(model or _place_of(base, self.folder), store or BaseStore())
        if located.identity.sha256 != base.sha256:
            raise ArtifactError(
                f"the base model {located.identity.id!r} is another one than the adapter was trained on",
                mend=f"Expected SHA-256 {base.sha256}, found {located.identity.sha256}.",
            )
        return located

    def _trained_on(self) -> BaseModel:
        if self.manifest.base_model is None:
            raise ArtifactError(
                f"{self.folder} holds rebuilt rows, not a model", mend="Train on them, then run `antivenom finish`."
            )
        return self.manifest.base_model

    def _located(self, model: str, store: BaseStore) -> LocatedModel:
        try:
            return store.locate(model)
        except AntivenomError as error:
            reason = error.what
            raise ArtifactError(
                f"{self.folder} needs its base model: {reason}",
                mend="Say with --model where that is; the manifest names it relative to the artifact's folder.",
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
    if manifest.base_model is not None:
        for config in getattr(model, "peft_config", {}).values():
            config.base_model_name_or_path = portable(manifest.base_model, folder).id
    # PEFT asks the hub whether the vocabulary was resized unless it is told that embeddings are not saved.
    options = {"save_embedding_layers": False} if hasattr(model, "peft_config") else {}
    model.save_pretrained(folder, **options)
    tokenizer.save_pretrained(folder)
    remove_file(folder / CARD)  # PEFT's
    return seal(folder, manifest)


def seal(folder: Path, manifest: Manifest) -> Artifact:
    """Write the manifest with the digests of what is in `folder`: from here on, any change is refused.

    A card is written beside it unless the folder has one.

    Raises:
        ArtifactError: the folder holds no safetensors weights, no tokenizer, or files that can run code.
    """
    require_harmless(folder)
    require_no_foreign_code(folder)
    tokenizer = digest_of(tokenizer_files(folder))
    base = None if manifest.base_model is None else portable(manifest.base_model, folder)
    weights = digest_of(trained_files(folder))
    sealed = replace(manifest, base_model=base, weights_sha256=weights, tokenizer_sha256=tokenizer)
    if not os.path.lexists(folder / CARD):
        write_card(folder, sealed)
    return Artifact(folder, sealed.write(folder))


def require_free(folder: Path) -> None:
    """Raise unless `folder` is new, empty, or an unfinished run of ours: nothing of the user's is ever overwritten.

    Raises:
        ArtifactError: it holds anything else.
    """
    if (folder / MANIFEST).exists():
        raise ArtifactError(f"{folder} already holds a finished artifact", mend="Choose another --out, or delete it.")
    if claim_of(folder) is None:
        require_empty(folder)


def portable(base: BaseModel, folder: Path) -> BaseModel:
    """The same base model without a path of this machine: a folder is named by its way from an artifact's folder.

    Such a name begins with a dot, which no name of the hub does. Whoever moves both keeps it true.

    Args:
        base: A name, or the path of a folder.
        folder: The artifact's.
    """
    if not Path(base.id).is_absolute():
        return base
    relative = os.path.relpath(base.id, folder.resolve())
    return replace(base, id=relative if relative.startswith(".") else f"./{relative}")


def _place_of(base: BaseModel, folder: Path) -> str:
    """What to look for: the folder that an artifact names from its own, or a name with its revision."""
    if base.id.startswith("."):
        return os.path.normpath(folder.resolve() / base.id)
    return base.place
