"""Load full weights, and accept them only if they are whole: every tensor there, none too many, all finite."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from antivenom.core.errors import ArtifactError
from antivenom.core.intake import foreign
from antivenom.models.base_model import CONFIG, read_config, staged, weight_files

SHOWN = 3
"""Names of tensors that an error lists."""


def load_whole(loader: Any, folder: Path, *, options: Mapping[str, Any]) -> Any:
    """Load a model from the safetensors weights of a folder, never running code from it.

    Args:
        loader: One of transformers' Auto classes.
        folder: The folder; only its configuration, weights and index of weights are seen by the loader.
        options: More arguments of `from_pretrained`: how the weights are held.

    Returns:
        The model.

    Raises:
        ArtifactError: it cannot be loaded, lacks tensors (transformers would draw them at random), has tensors for more
            layers than its configuration, or holds a number that is not finite.
    """
    files = weight_files(folder)
    read_config(folder / CONFIG)
    mend = "Copy the model again; if it is whole, this version of transformers does not know it."
    with staged(files) as place, foreign(f"{folder}: the model cannot be loaded", error=ArtifactError, mend=mend):
        safe = {"use_safetensors": True, "trust_remote_code": False, "output_loading_info": True}
        model, said = loader.from_pretrained(place, **{**options, **safe})
    model.name_or_path = model.config._name_or_path = str(folder)
    _require_all(folder, model, said)
    if "quantization_config" not in options:  # blocks of bits are no numbers
        require_finite(model.named_parameters(), folder)
    return model


def require_finite(tensors: Iterable[tuple[str, torch.Tensor]], source: Path) -> None:
    """Refuse weights that hold NaN or infinity.

    Args:
        tensors: Names and tensors.
        source: Where they came from, for the error.

    Raises:
        ArtifactError: names the first such tensor.
    """
    for name, tensor in tensors:
        if not is_finite(tensor):
            raise ArtifactError(
                f"{source}: {name} holds numbers that are not finite: its training diverged, or it is damaged",
                mend="Train again with a lower learning rate, or restore the file.",
            )


def is_finite(tensor: torch.Tensor) -> bool:
    """Whether a tensor holds neither NaN nor infinity; nothing of its size is allocated."""
    if not tensor.is_floating_point() or not tensor.numel():
        return True
    # Smallest and largest are NaN where any number is.
    return all(bool(torch.isfinite(bound)) for bound in torch.aminmax(tensor.detach()))


def _require_all(folder: Path, model: Any, said: dict[str, Any]) -> None:
    missing, left = sorted(said["missing_keys"]), sorted(said["unexpected_keys"])
    if missing:
        raise ArtifactError(
            f"{folder} lacks {len(missing)} tensors of a {type(model).__name__} ({_some(missing)})",
            mend="Copy the model again, or correct model_type in its config.json.",
        )
    # Heads of other tasks are no harm; layers that the configuration does not count are a part of the model left out.
    kinds = {_kind(name) for name, _ in model.named_parameters()}
    layers = [name for name in left if _kind(name) in kinds and any(part.isdigit() for part in name.split("."))]
    if layers:
        raise ArtifactError(
            f"{folder} holds {len(layers)} tensors that its {CONFIG} has no place for ({_some(layers)})",
            mend="The configuration is another model's: copy the model again.",
        )


def _kind(name: str) -> str:
    return re.sub(r"\.\d+(?=\.)", ".#", name)


def _some(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
