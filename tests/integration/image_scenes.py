"""What tests of images share: rows with pictures, and a tiny model of SmolVLM's kind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from antivenom.data.query import EXTRAS
from antivenom.testing import synthetic_images, tiny_tokenizer
from antivenom.testing.tiny_models import VISION_CHAT_TEMPLATE


def with_images(table: pa.Table, *, seed: int = 0) -> pa.Table:
    images = pa.array(synthetic_images(table.num_rows, seed=seed), EXTRAS.field("image").type)
    return table.append_column(EXTRAS.field("image"), images)


def tiny_idefics(folder: Path, tokenizer: Any = None) -> Path:
    """The other kind of model (SmolVLM's kin): tiles of an image in a dimension of their own, ordinary positions."""
    from transformers import Idefics3Config, Idefics3ForConditionalGeneration
    from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil

    tokenizer = tiny_tokenizer() if tokenizer is None else tokenizer
    tiles = [f"<row_{row}_col_{column}>" for row in range(1, 5) for column in range(1, 5)]
    marks = ["<image>", "<fake_token_around_image>", "<end_of_utterance>", "<global-img>", *tiles]
    tokenizer.add_special_tokens({"additional_special_tokens": marks})
    tokenizer.chat_template = VISION_CHAT_TEMPLATE.replace("<|vision_start|><|image_pad|><|vision_end|>", "<image>")
    tokenizer.save_pretrained(folder)
    size = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = Idefics3Config(
        text_config={"model_type": "llama", "vocab_size": len(tokenizer), "num_key_value_heads": 2, **size},
        vision_config={"image_size": 56, "patch_size": 14, **size},
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        pad_token_id=tokenizer.pad_token_id,
        scale_factor=2,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        Idefics3ForConditionalGeneration(config).save_pretrained(folder)
    Idefics3ImageProcessorPil(size={"longest_edge": 112}, max_image_size={"longest_edge": 56}).save_pretrained(folder)
    settings = {"processor_class": "Idefics3Processor", "image_seq_len": 4}
    (folder / "processor_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder
