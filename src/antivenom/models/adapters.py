"""Put a trained adapter on its base: what then answers is what was trained, or the adapter is refused with a reason."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from antivenom.core.errors import ArtifactError
from antivenom.core.intake import foreign, require_regular
from antivenom.models.adapter_files import ADAPTER, ADAPTER_CONFIG, PREFIX, is_plain, read_adapter_config
from antivenom.models.base_model import staged
from antivenom.models.whole import require_finite

TOLERANCE = 1e-2
"""Largest difference of a loaded tensor from the file's, relative to its largest number: bf16 keeps 3 digits."""


SIZES = ("r", "init_r", "target_r", "oft_block_size", "boft_block_size", "boft_block_num", "boft_n_butterfly_factor")
"""Settings that say how large the tensors of an adapter are, or how many there are of each."""


def load_adapter(base: Any, folder: Path, *, trainable: bool = False) -> Any:
    """Put the adapter of a folder on a base model.

    Plain LoRA is merged into weights of its own, which gives the same scores (to rounding) without the extra
    multiplications; anything else is computed as it was in training. LoRA on a matrix that the model uses twice (tied
    embeddings) is never merged: the merge would change both sides, and training changed one.

    Args:
        base: A model without adapters. It is adapted in place; tensors that it shares with other models are not
            written to.
        folder: The folder with `adapter_config.json` and `adapter_model.safetensors`.
        trainable: Leave the adapter what it was while it was trained, so that it can be trained further.

    Returns:
        A transformers model that scores and generates; of PEFT where it is to be trained.

    Raises:
        ArtifactError: the kind of adapter cannot be served, or its tensors are not those that its configuration and
            this base ask for, or are not finite.
    """
    from peft import PeftModel

    from antivenom.models.local import quiet_libraries

    config = read_adapter_config(folder, [name for name, _ in base.named_modules()])
    tensors = _tensors(folder)
    _require_rank(config, tensors, folder)
    plain = is_plain(config, tensors)
    if not plain:  # loading may write biases and embeddings, and some ways to begin change the base
        own_weights(base, base.modules())
    _fit_vocabulary(base, tensors, folder)
    files = {name: folder / name for name in (ADAPTER, ADAPTER_CONFIG)}
    mend = "Name the model that it was trained on with --model."
    with (
        staged(files) as place,
        foreign(f"{folder}: PEFT cannot load the adapter", error=ArtifactError, mend=mend),
        quiet_libraries(),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # what they warn of is compared below
        adapted = PeftModel.from_pretrained(base, str(place), use_safetensors=True, is_trainable=trainable)
        _require_loaded(adapted, tensors, folder)
        if trainable:
            return adapted
        layers = _lora_layers(adapted) if plain else []
        if layers and _used_once(adapted, layers):
            own_weights(adapted, [layer.get_base_layer() for layer in layers])
            return adapted.merge_and_unload()
    return adapted.get_base_model().eval()


def _tensors(folder: Path) -> dict[str, torch.Tensor]:
    from safetensors.torch import load_file

    path = require_regular(folder / ADAPTER, error=ArtifactError)
    with foreign(f"{folder / ADAPTER} is damaged", error=ArtifactError, mend="Copy it again."):
        tensors: dict[str, torch.Tensor] = load_file(path)
    if not tensors:
        raise ArtifactError(f"{folder / ADAPTER} holds no tensors", mend="Save the trained adapter there.")
    require_finite(tensors.items(), folder / ADAPTER)
    return tensors


def _require_rank(config: Mapping[str, Any], tensors: Mapping[str, torch.Tensor], folder: Path) -> None:
    """Refuse a rank that no tensor of the file has room for, before PEFT takes the memory for it."""
    asked = [*(config.get(name) for name in SIZES), *(config.get("rank_pattern") or {}).values()]
    rank = max((number for number in asked if isinstance(number, int)), default=0)
    largest = max(size for tensor in tensors.values() for size in (*tensor.shape, 1))
    if rank > largest:
        raise ArtifactError(
            f"{folder / ADAPTER_CONFIG}: a rank or block of {rank}, and no tensor is larger than {largest}",
            mend="Save the adapter again, configuration and tensors together.",
        )


def _fit_vocabulary(base: Any, tensors: Mapping[str, torch.Tensor], folder: Path) -> None:
    """Give the embeddings as many rows as the adapter's own have, where it was trained on a resized vocabulary.

    Every row of what is resized comes from the adapter's file afterwards, or the adapter is refused.
    """
    ends = (base.get_input_embeddings(), base.get_output_embeddings())
    names = [name for name, module in base.named_modules() if any(module is end for end in ends)]
    held = {
        name: len(tensors[full])
        for name in names
        for full in (f"{PREFIX}{name}{part}.weight" for part in ("", ".base_layer", ".modules_to_save"))
        if full in tensors
    }
    rows, now = set(held.values()), len(ends[0].weight)
    if not rows or rows == {now}:
        return
    tied = ends[0].weight is ends[1].weight
    if len(rows) > 1 or not (len(held) == len(names) or tied):
        raise ArtifactError(
            f"{folder} was trained with {max(rows)} tokens, the base model has {now}, and of the two matrices with a "
            f"row for each token the adapter holds only {', '.join(sorted(held))}",
            mend="Save it with save_embedding_layers=True, or merge it and bind the full model.",
        )
    base.resize_token_embeddings(max(rows), mean_resizing=False)


def _require_loaded(adapted: Any, tensors: Mapping[str, torch.Tensor], folder: Path) -> None:
    """Compare the tensors of the file with those that the adapted model asks for, by name and by number."""
    from peft import get_peft_model_state_dict

    least = get_peft_model_state_dict(adapted, save_embedding_layers=False)
    most = get_peft_model_state_dict(adapted, save_embedding_layers=True)
    missing, foreign_names = sorted(set(least) - set(tensors)), sorted(set(tensors) - set(most))
    if missing:
        raise ArtifactError(
            f"{folder / ADAPTER} lacks {len(missing)} of {len(least)} tensors ({missing[0]}, ...)",
            mend="Save the whole adapter again, or name the model that it was trained on with --model.",
        )
    if foreign_names:
        raise ArtifactError(
            f"{folder / ADAPTER} holds {len(foreign_names)} tensors that its base has no place for "
            f"({foreign_names[0]}, ...)",
            mend="Name the model that it was trained on with --model.",
        )
    for name, tensor in tensors.items():
        if name.endswith(".original_module.weight"):
            continue  # kept beside a trained copy, and never computed with
        found = most[name].detach().float().cpu()
        scale = float(tensor.float().abs().amax()) if tensor.numel() else 0.0
        if found.shape != tensor.shape or not torch.allclose(found, tensor.float(), rtol=0, atol=TOLERANCE * scale):
            raise ArtifactError(
                f"{folder / ADAPTER}: {name} is not what the model has after loading",
                mend="PEFT cannot load this adapter as it was trained; merge it and bind the full model.",
            )


def own_weights(model: Any, modules: Iterable[torch.nn.Module]) -> None:
    """Give modules weights that no other model shares; tensors that the model uses twice stay one.

    Args:
        model: The model that they belong to.
        modules: Those whose own parameters are to be copied.
    """
    old = {id(parameter) for module in modules for parameter in module.parameters(recurse=False)}
    copies: dict[int, torch.nn.Parameter] = {}
    for module in model.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            if id(parameter) in old:
                new = copies.get(id(parameter))
                if new is None:
                    new = torch.nn.Parameter(parameter.detach().clone(), requires_grad=parameter.requires_grad)
                    copies[id(parameter)] = new
                module.register_parameter(name, new)


def _lora_layers(adapted: Any) -> list[Any]:
    from peft.tuners.lora import LoraLayer

    return [module for module in adapted.modules() if isinstance(module, LoraLayer)]


def _used_once(adapted: Any, layers: Iterable[Any]) -> bool:
    """Whether no adapted matrix is used elsewhere in the model."""
    uses = Counter(id(parameter) for _, parameter in adapted.named_parameters(remove_duplicate=False))
    return all(uses[id(layer.get_base_layer().weight)] == 1 for layer in layers)


def is_merged(model: Any) -> bool:
    """Whether a model holds nothing of PEFT's any more."""
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils.other import AuxiliaryTrainingWrapper

    return not any(isinstance(module, BaseTunerLayer | AuxiliaryTrainingWrapper) for module in model.modules())
