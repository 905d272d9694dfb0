"""Whether a folder of trained weights can have come from a base model, told from the headers of the files alone."""

from __future__ import annotations

from pathlib import Path

from antivenom.core.errors import ArtifactError
from antivenom.models.base_model import LocatedModel, locate_model

ADAPTER = "adapter_model.safetensors"
PEFT_PREFIX = "base_model.model."


def require_trained_from(folder: Path, base: LocatedModel) -> None:
    """Refuse the base model itself, and an adapter whose matrices do not fit the base's.

    Raises:
        ArtifactError: says which it is.
    """
    adapter = folder / ADAPTER
    if adapter.exists():
        _require_fitting_adapter(adapter, base)
        return
    if folder.resolve() == base.folder.resolve() or _same_weights(folder, base):
        raise ArtifactError(
            f"{folder} holds the base model itself, untrained",
            mend="Name the folder that your trainer wrote; the base model goes to --model.",
        )


def _same_weights(folder: Path, base: LocatedModel) -> bool:
    has_model = (folder / "config.json").is_file() and any(folder.glob("*.safetensors"))
    return has_model and locate_model(str(folder)).identity.sha256 == base.identity.sha256


def _require_fitting_adapter(adapter: Path, base: LocatedModel) -> None:
    """LoRA's A reads what the adapted matrix reads, B writes what it writes. Matrices of other names are not judged."""
    known = {name: shape for path in base.folder.glob("*.safetensors") for name, shape in _shapes(path).items()}
    for name, shape in _shapes(adapter).items():
        for part, axis in ((".lora_A.weight", 1), (".lora_B.weight", 0)):
            matrix = known.get(name.removeprefix(PEFT_PREFIX).replace(part, ".weight"))
            if name.endswith(part) and matrix is not None and len(matrix) == 2 and matrix[axis] != shape[axis]:
                raise ArtifactError(
                    f"{adapter.parent} was not trained on {base.identity.id}: {name} is {shape}, the matrix {matrix}",
                    mend="Name the model that it was trained on with --model.",
                )


def _shapes(path: Path) -> dict[str, list[int]]:
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        return {name: list(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
