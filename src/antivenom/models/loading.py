"""Load what a task needs: tokenizer and causal language model for texts, processor and vision model for images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from antivenom.core.errors import ArtifactError, OptionsError
from antivenom.guards.encoding import Encoder
from antivenom.guards.image_prompts import ImageRenderer
from antivenom.models.base import Model
from antivenom.models.base_model import CONFIG, read_config
from antivenom.models.local import LocalModel, load_causal_lm
from antivenom.models.placement import Placement, Precision
from antivenom.models.precision import choose_precision, shapes_of
from antivenom.models.tokenizer import load_tokenizer
from antivenom.models.vision import ImageTextModel, load_image_text_model, load_processor
from antivenom.tasks.task import Modality


def load_codec(folder: Path, modality: Modality, *, model: Path) -> Any:
    """What turns prompts into token ids: a tokenizer, or the processor that contains one.

    Args:
        folder: Where its files are.
        modality: What the task asks about.
        model: The folder of the model that it belongs to.

    Raises:
        OptionsError: the task has images, and the model takes none.
    """
    return load_tokenizer(folder) if modality == "text" else load_processor(folder, model)


def load_model(folder: Path, modality: Modality, placement: Placement = Placement()) -> Any:
    """A transformers model of the right kind, from safetensors alone.

    Raises:
        OptionsError: the task has no images, and the model takes nothing else.
    """
    if modality != "text":
        return load_image_text_model(folder, placement)
    try:
        return load_causal_lm(folder, placement)
    except ArtifactError:
        if not read_config(folder / CONFIG).get("vision_config"):
            raise
        raise OptionsError(
            f"the model in {folder} takes images, and these rows have none",
            mend="Name their column with --image-column, or choose a model for texts.",
        ) from None


def scorer(model: Any, encoder: Encoder, precision: Precision = "auto") -> Model:
    """Whatever scores the encoder's prompts with a loaded model, whose weights must not change any more."""
    if isinstance(encoder.renderer, ImageRenderer):
        return ImageTextModel(model, encoder.renderer)
    return LocalModel(model, precision=choose_precision(precision, shapes_of(model)))
