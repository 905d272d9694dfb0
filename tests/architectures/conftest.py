"""Tiny random models of real architectures with real tokenizers, from the folder that ANTIVENOM_TOKENIZERS names."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import pytest
import torch
from tiny_architectures import ARCHITECTURES, NAMES, SIZES, SURE, VARIABLE


@pytest.fixture(scope="session")
def tokenizers() -> Path:
    """The folder with `qwen3`, `llama3_1` and `gemma3`, each as transformers saves a tokenizer."""
    folder = Path(os.environ.get(VARIABLE, ""))
    if VARIABLE not in os.environ or not all((folder / name / "tokenizer.json").is_file() for name in NAMES):
        pytest.fail(f"{VARIABLE} names no folder with the tokenizers {', '.join(NAMES)}, each as transformers saves it")
    return folder


@pytest.fixture(scope="session")
def build(tokenizers, tmp_path_factory):
    """Makes the folder of an architecture's tiny model, once."""
    made: dict[str, Path] = {}

    def model_of(name: str) -> Path:
        if name not in made:
            made[name] = _build(name, tokenizers, tmp_path_factory.mktemp(name))
        return made[name]

    return model_of


@pytest.fixture(scope="session")
def tokenizer_of(build):
    """Gives the tokenizer of an architecture's tiny model, loaded once: it takes seconds."""
    from antivenom.models.tokenizer import load_tokenizer

    return cache(lambda name: load_tokenizer(build(name)))


def _build(name: str, tokenizers: Path, folder: Path) -> Path:
    import transformers

    from antivenom.models.tokenizer import load_tokenizer

    known, config_class, model_class, changes = ARCHITECTURES[name]
    tokenizer = load_tokenizer(tokenizers / known)
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    config = getattr(transformers, config_class)(vocab_size=len(tokenizer), **{**SIZES, **ends, **changes})
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        model = getattr(transformers, model_class)(config)
        model.get_output_embeddings().weight *= SURE
        model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
