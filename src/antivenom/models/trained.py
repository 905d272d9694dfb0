"""What a folder of trained weights holds, told from the headers of the files alone."""

from __future__ import annotations

import re
from pathlib import Path

from antivenom.core.errors import ArtifactError
from antivenom.core.intake import foreign, require_regular
from antivenom.models.adapter_files import ADAPTER, ADAPTER_CONFIG
from antivenom.models.base_model import LocatedModel, locate_model

_LAYER = re.compile(r"\.layers\.(\d+)\.")
_ABOVE = ("lm_head.", ".model.norm.")


def require_trained(folder: Path, base: LocatedModel) -> None:
    """Refuse a folder without weights, the base model itself, and an adapter without tensors.

    Whether an adapter fits its base is known when it is loaded; see `models.adapters`.

    Args:
        folder: What a trainer wrote.
        base: The model that it was trained on.

    Raises:
        ArtifactError: says which it is.
    """
    if (folder / ADAPTER).exists() or (folder / ADAPTER_CONFIG).exists():
        if not tensor_names(folder / ADAPTER):
            raise ArtifactError(f"{folder / ADAPTER} holds no tensors", mend="Save the trained adapter there.")
        return
    if folder.resolve() == base.folder.resolve() or locate_model(str(folder)).identity.sha256 == base.identity.sha256:
        raise ArtifactError(
            f"{folder} holds the base model itself, untrained",
            mend="Name the folder that your trainer wrote; the base model goes to --model.",
        )


def require_above(folder: Path, cut: int) -> None:
    """Refuse weights that change layers below a cut: states that are kept for the base would not be theirs.

    Args:
        folder: Where the adapter is.
        cut: The lowest layer that may be adapted.

    Raises:
        ArtifactError: names the first tensor below the cut, or says that the weights are no adapter.
    """
    if not (folder / ADAPTER).exists():
        raise ArtifactError(f"{folder} holds full weights: all layers were trained", mend="Leave top_layers out.")
    for name in tensor_names(folder / ADAPTER):
        found = _LAYER.search(name)
        if int(found.group(1)) < cut if found else not any(part in name for part in _ABOVE):
            raise ArtifactError(
                f"{folder}: {name} changes the model below layer {cut}, where states of the base are kept",
                mend="Leave top_layers out, or give the number that it was trained with.",
            )


def tensor_names(path: Path) -> list[str]:
    """The names of the tensors in a safetensors file.

    Raises:
        ArtifactError: it is no such file.
    """
    from safetensors import safe_open

    place = require_regular(path, error=ArtifactError)
    with (
        foreign(f"{path} is damaged", error=ArtifactError, mend="Copy it again."),
        safe_open(place, framework="numpy") as file,
    ):
        return list(file.keys())
