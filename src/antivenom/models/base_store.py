"""The base models of one run: each is found, hashed and loaded once, and lent out in copies that share its weights."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

from antivenom.models.base_model import LocatedModel, locate_model
from antivenom.models.placement import Placement, default_dtype
from antivenom.tasks.task import Modality


class BaseStore:
    """Holds the base models that a run uses.

    What `adaptable` returns may get adapters, lose layers or be merged by `models.adapters`: the weights of the base
    stay what they are, because nothing that trains or merges writes into a shared tensor.
    """

    def __init__(self) -> None:
        """Start without any model; `forget` gives their memory back."""
        self._located: dict[str, LocatedModel] = {}
        self._loaded: dict[tuple[Path, Modality, Placement], Any] = {}

    def locate(self, model: str) -> LocatedModel:
        """Find a model and compute its digest, once; see `locate_model` for the argument and the errors."""
        name = str(Path(model).resolve()) if Path(model).is_dir() else model
        if name not in self._located:
            found = locate_model(model)
            # Artifacts name their base by its whole path or its commit, users as they like.
            self._located[name] = self._located[found.identity.place] = found
        return self._located[name]

    def adaptable(self, located: LocatedModel, modality: Modality = "text", placement: Placement = Placement()) -> Any:
        """A model of its own whose weights are those of the loaded base, frozen and shared with every other copy.

        It costs the memory of what is added to it, not of the base. Adapters of PEFT fit: they train tensors of their
        own. For training all weights take `separate`.

        Args:
            located: The base.
            modality: What the task asks about.
            placement: How the weights are held; a base is loaded once for each.

        Returns:
            A transformers model whose parameters need no gradient.

        Raises:
            ArtifactError: it cannot be loaded.
        """
        base = self._base(located, modality, placement)
        shared = {id(tensor): tensor for tensor in base.parameters()}
        return copy.deepcopy(base, shared)

    def separate(self, located: LocatedModel, modality: Modality = "text") -> Any:
        """A model with weights of its own, which may be trained in place; arguments and errors as of `adaptable`."""
        from antivenom.models.loading import load_model

        return load_model(located.folder, modality)

    def forget(self) -> None:
        """Drop the loaded models; digests are kept."""
        self._loaded.clear()

    def _base(self, located: LocatedModel, modality: Modality, placement: Placement) -> Any:
        import torch

        from antivenom.models.loading import load_model

        if default_dtype() == torch.float32:  # here both mean the same
            placement = replace(placement, weights="fp32")
        key = (located.folder.resolve(), modality, placement)
        if key not in self._loaded:
            self._loaded[key] = load_model(located.folder, modality, placement).requires_grad_(False)
        return self._loaded[key]
