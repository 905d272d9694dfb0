"""Image-text-to-text models of transformers (Qwen2.5-VL, SmolVLM and the like): loading, batches, scoring."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from antivenom.core.errors import ArtifactError, MissingPackageError, OptionsError
from antivenom.core.intake import reason_of, require_regular
from antivenom.core.progress import progress_bar
from antivenom.guards.image_prompts import ImagePrompt, ImageRenderer
from antivenom.guards.labels import ChoiceScores
from antivenom.models.base_model import CONFIG, staged
from antivenom.models.batches import length_batches, pad_left, positions
from antivenom.models.codec_files import codec_files
from antivenom.models.local import TOKEN_BUDGET, add_node, load_with_head, quiet_libraries
from antivenom.models.placement import Chosen, Placement

PER_TOKEN = ("token_type_ids", "mm_token_type_ids")
"""What a processor says about every token; zero stands for text."""


def load_processor(folder: Path, model: Path | None = None) -> Any:
    """Load a processor of images and text, never running code from the folder.

    Its video half is left out: videos are never read here, and it needs torchvision.

    Args:
        folder: Where the processor's files are.
        model: The folder of the model that it belongs to; the same when not given.

    Raises:
        OptionsError: the model takes no images.
        MissingPackageError: the processor needs a package that is not installed.
    """
    from transformers import AutoConfig
    from transformers.models.auto.processing_auto import PROCESSOR_MAPPING

    try:
        with staged(_config_of(model or folder)) as place:
            config = AutoConfig.from_pretrained(place, trust_remote_code=False)
        general = PROCESSOR_MAPPING[type(config)]
    except Exception:
        raise OptionsError(
            f"the model in {model or folder} takes no images",
            mend="Choose an image-text-to-text model, such as Qwen2.5-VL.",
        ) from None

    def attributes(_: Any) -> list[str]:
        return [name for name in general.get_attributes() if "video" not in name]

    processor_class: Any = type(general.__name__, (general,), {"get_attributes": classmethod(attributes)})
    try:
        with quiet_libraries(), staged({**codec_files(folder), **_config_of(folder)}) as place:
            processor = processor_class.from_pretrained(place, trust_remote_code=False)
    except ImportError as error:
        raise MissingPackageError(f"{general.__name__}: {reason_of(error)}") from None
    except Exception as error:
        raise ArtifactError(f"{folder}: the processor cannot be loaded ({reason_of(error)})") from None
    tokenizer = processor.tokenizer
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return processor


def _config_of(folder: Path) -> dict[str, Path]:
    """The model's configuration, if it is in the processor's folder: parts without a class of their own need it."""
    path = folder / CONFIG
    return {CONFIG: require_regular(path, error=ArtifactError)} if path.exists() else {}


def load_image_text_model(folder: Path, placement: Placement = Placement()) -> Any:
    """Load an image-text-to-text model from safetensors, never running code.

    Raises:
        ArtifactError: it cannot be loaded, or is not whole; see `models.whole`.
    """
    from transformers import AutoModelForImageTextToText

    return load_with_head(AutoModelForImageTextToText, folder, placement)


def language_modules(model: Any, names: Sequence[str] = ()) -> str:
    """A pattern, as PEFT takes it, of the linear layers in the language part of a model.

    Args:
        model: An image-text-to-text model.
        names: The last names of the layers that are meant; all linear layers when empty.

    Raises:
        OptionsError: the model has no part of its own for language, or none of these layers is in it.
    """
    decoder = model.get_decoder()
    [root] = [name for name, module in model.named_modules() if module is decoder] or [""]
    if not root:
        raise OptionsError(f"{type(model).__name__}: its language part cannot be told from its vision part")
    linear = {name.rpartition(".")[2] for name, module in decoder.named_modules() if isinstance(module, nn.Linear)}
    missing = set(names) - linear
    if missing:
        raise OptionsError(f"modules = {min(missing)!r}: no such linear layer in the language part")
    chosen = "|".join(re.escape(name) for name in sorted(set(names) or linear))
    return rf"{re.escape(root)}\.(.*\.)?({chosen})"


@dataclass(frozen=True)
class ImageBatches:
    """Makes what the model reads of prompts with images: whatever the processor returns, by its name."""

    renderer: ImageRenderer
    dtype: torch.dtype
    """Of the pixels."""
    numbered: bool
    """Whether the model is told each token's position; some (Qwen2-VL's kin) give image tokens two of their own."""

    @classmethod
    def of(cls, renderer: ImageRenderer, model: Any) -> ImageBatches:
        """The batches of an image-text-to-text model without adapters."""
        return cls(renderer, model.dtype, numbered=not hasattr(model.base_model, "get_rope_index"))

    def __call__(self, rows: Sequence[list[int]]) -> dict[str, torch.Tensor]:
        """The inputs of one batch of `ImagePrompt`s, on the CPU, padded in front."""
        prompts = [row for row in rows if isinstance(row, ImagePrompt)]
        if len(prompts) < len(rows):
            raise TypeError("prompts without an image were given to a model that takes images")
        found = self.renderer.process([p.string for p in prompts], [p.image for p in prompts])
        theirs = found.pop("attention_mask").bool()
        del found["input_ids"]  # ours go on behind them
        cpu = torch.device("cpu")
        ids, mask = pad_left(prompts, cpu)
        inputs = {"input_ids": ids, "attention_mask": mask}
        if self.numbered:
            inputs["position_ids"] = positions(mask)
        for name in [name for name in PER_TOKEN if name in found]:
            kinds = zip(found.pop(name), theirs, prompts, strict=True)
            inputs[name], _ = pad_left([[*row[own].tolist(), *[0] * len(p.tail)] for row, own, p in kinds], cpu)
        return inputs | {name: t.to(self.dtype) if t.is_floating_point() else t for name, t in found.items()}


def extend(inputs: dict[str, torch.Tensor], tokens: Sequence[int]) -> dict[str, torch.Tensor]:
    """The inputs of the same batch with the same tokens behind every row."""
    rows = len(inputs["input_ids"])
    behind = torch.tensor([tokens] * rows, dtype=torch.long, device=inputs["input_ids"].device).view(rows, -1)
    more = {"input_ids": behind, "attention_mask": torch.ones_like(behind)}
    more |= {name: torch.zeros_like(behind) for name in PER_TOKEN if name in inputs}
    longer = inputs | {name: torch.cat([inputs[name], columns], dim=1) for name, columns in more.items()}
    return longer | ({"position_ids": positions(longer["attention_mask"])} if "position_ids" in inputs else {})


class ImageTextModel:
    """Scores prompts with images, batched by length. Nothing is shared between prompts."""

    def __init__(self, model: Any, renderer: ImageRenderer, *, token_budget: int = TOKEN_BUDGET) -> None:
        """Take a loaded image-text-to-text model and the renderer of its prompts."""
        self.model = model
        self.batches = ImageBatches.of(renderer, model)
        self.token_budget = token_budget
        self.precision: Chosen = "fp32"

    def score(
        self, prompts: Sequence[list[int]], choices: Sequence[tuple[int, ...]], *, progress: str | None = None
    ) -> ChoiceScores:
        """Score every choice behind every prompt; see `models.base.Model`."""
        scores = np.zeros((len(prompts), len(choices)))
        other = np.zeros(len(prompts), dtype=bool)
        self.model.eval()
        with torch.inference_mode(), progress_bar(progress, total=len(prompts), unit="row") as advance:
            for rows in length_batches([len(prompt) for prompt in prompts], self.token_budget):
                scores[rows], other[rows] = self._choose([prompts[i] for i in rows], choices)
                advance(len(rows))
        return ChoiceScores(scores, other)

    def _choose(self, prompts: Sequence[list[int]], choices: Sequence[tuple[int, ...]]) -> tuple[Any, Any]:
        """Read the prompts once for every way through the prefix tree of the choices; a pass scores all its nodes."""
        device = next(self.model.parameters()).device
        inputs = {name: value.to(device) for name, value in self.batches(prompts).items()}
        inner = {choice[:depth] for choice in choices for depth in range(len(choice))}
        totals = torch.zeros(len(prompts), len(choices), device=device)
        first = torch.tensor(sorted({choice[0] for choice in choices}), device=device)
        for path in sorted(inner, key=len, reverse=True):
            if path not in inner:
                continue  # an earlier pass went through it
            out = self.model(**extend(inputs, path), logits_to_keep=len(path) + 1, use_cache=False)
            for depth in range(len(path) + 1):
                logs = torch.log_softmax(out.logits[:, depth].float(), dim=-1)
                if path[:depth] in inner:
                    inner.remove(path[:depth])
                    add_node(totals, path[:depth], logs, choices)
                if depth == 0:
                    other = logs.max(dim=-1).values > logs[:, first].max(dim=-1).values
        return totals.double().cpu().numpy(), other.cpu().numpy()
