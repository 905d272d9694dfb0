"""SmolLM2-135M as the language half of an image-text-to-text model, with a vision tower that is trained here.

    python -m research.image_text --data ../shared/data/image_text --out smol-vision
    antivenom compare ../shared/data/image_text/train.jsonl ... --image-column img --model smol-vision ...

The architecture is SmolVLM's (Idefics3); the language weights are those of the embedded model, and stay as they are
while the tower and its projector learn to tell which text stands under a picture. A tower of two million numbers that
has seen some hundred pictures sees little: the path is real, the sight is not.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, Idefics3Config, Idefics3ForConditionalGeneration
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil

from antivenom.models.embedded import embedded_model
from antivenom.models.tokenizer import load_tokenizer
from antivenom.models.vision import load_processor
from antivenom.testing.tiny_models import VISION_CHAT_TEMPLATE

PIXELS, PATCH, SCALE = 128, 16, 2
SEEN_TOKENS = (PIXELS // PATCH // SCALE) ** 2
MARKS = ["<image>", "<fake_token_around_image>", "<end_of_utterance>", "<global-img>"]
TOWER = {"hidden_size": 192, "intermediate_size": 384, "num_hidden_layers": 4, "num_attention_heads": 4}


def main(argv: list[str] | None = None) -> int:
    """Put the model together, train its tower, and save it as a folder that every command takes."""
    parser = argparse.ArgumentParser(prog="python -m research.image_text", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with train.jsonl and its images")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--batch", type=int, default=8)
    asked = parser.parse_args(argv)
    torch.manual_seed(0)
    model = assemble(asked.out)
    model.save_pretrained(asked.out)
    losses = train(model, load_processor(asked.out), asked.data, asked.steps, asked.batch)
    model.save_pretrained(asked.out)
    tenth = max(len(losses) // 10, 1)
    first, last = (sum(some) / tenth for some in (losses[:tenth], losses[-tenth:]))
    print(json.dumps({"steps": len(losses), "first_loss": round(first, 3), "last_loss": round(last, 3)}))
    return 0


def assemble(out: Path) -> Any:
    """The model with a random tower; writes the processor's files."""
    language = AutoModelForCausalLM.from_pretrained(embedded_model(), dtype=torch.float32)
    tokenizer = load_tokenizer(embedded_model())
    tokenizer.add_special_tokens({"additional_special_tokens": MARKS})
    tokenizer.chat_template = VISION_CHAT_TEMPLATE.replace("<|vision_start|><|image_pad|><|vision_end|>", "<image>")
    language.resize_token_embeddings(len(tokenizer))
    config = Idefics3Config(
        text_config=language.config.to_dict(),
        vision_config={"image_size": PIXELS, "patch_size": PATCH, **TOWER},
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        pad_token_id=tokenizer.pad_token_id,
        scale_factor=SCALE,
        tie_word_embeddings=True,
    )
    model = Idefics3ForConditionalGeneration(config)
    model.model.text_model.load_state_dict(language.model.state_dict())
    model.tie_weights()
    tokenizer.save_pretrained(out)
    size = {"longest_edge": PIXELS}
    Idefics3ImageProcessorPil(size=size, max_image_size=size, do_image_splitting=False).save_pretrained(out)
    settings = {"processor_class": "Idefics3Processor", "image_seq_len": SEEN_TOKENS}
    (out / "processor_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return model


def train(model: Any, processor: Any, data: Path, steps: int, batch: int) -> list[float]:
    """Teach the tower and the projector what stands under pictures; the language half stays as it is."""
    from PIL import Image

    rows = [json.loads(line) for line in (data / "train.jsonl").read_text(encoding="utf-8").splitlines()]
    learned = [*model.model.vision_model.parameters(), *model.model.connector.parameters()]
    model.requires_grad_(False).train()
    for parameter in learned:
        parameter.requires_grad_(True)
    optimizer = torch.optim.AdamW(learned, lr=1e-3)
    losses = []
    for _ in range(steps):
        some = [rows[i] for i in torch.randint(len(rows), (batch,)).tolist()]
        pictures = [[Image.open(data / row["img"]).convert("RGB").resize((PIXELS, PIXELS))] for row in some]
        texts = [f"<|im_start|>user\n<image><|im_end|>\n<|im_start|>assistant\n{row['text'][:120]}" for row in some]
        inputs = processor(text=texts, images=pictures, padding=True, return_tensors="pt")
        ids = inputs["input_ids"]
        is_text = inputs["attention_mask"].bool() & (ids < len(processor.tokenizer) - len(MARKS))
        loss = model(**inputs, labels=torch.where(is_text, ids, -100)).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    model.requires_grad_(True).eval()
    return losses


if __name__ == "__main__":
    raise SystemExit(main())
