"""The likelihood of a variant is that of the sentence by itself, whatever it is computed with."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM

from antivenom.core.errors import OptionsError
from antivenom.models import likelihood
from antivenom.models.likelihood import log_likelihoods

SIZES = {"vocab_size": 40, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
MODELS = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SIZES, intermediate_size=48, num_key_value_heads=2)),
    "gpt2": lambda: GPT2LMHeadModel(GPT2Config(vocab_size=40, n_embd=32, n_layer=2, n_head=4)),
    "window": lambda: MistralForCausalLM(
        MistralConfig(**SIZES, intermediate_size=48, num_key_value_heads=2, sliding_window=4)
    ),
}


@pytest.fixture(scope="module", params=MODELS)
def model(request):
    torch.manual_seed(0)
    made = MODELS[request.param]()
    with torch.no_grad():  # far from uniform, so that mistakes show
        for parameter in made.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return made.eval()


def alone(model, ids):
    if len(ids) < 2:
        return 0.0
    with torch.no_grad():
        logs = model(torch.tensor([ids])).logits[0].log_softmax(-1)
    return sum(logs[i, token].item() for i, token in enumerate(ids[1:]))


def assert_like_alone(model, texts, budget=2048):
    found = log_likelihoods(model, texts, token_budget=budget)
    assert [len(f) for f in found] == [len(variants) for variants in texts]
    for variants, values in zip(texts, found, strict=True):
        np.testing.assert_allclose(values, [alone(model, ids) for ids in variants], atol=1e-4)


def deletions(ids):
    return [ids, *([*ids[:i], *ids[i + 1 :]] for i in range(len(ids)))]


def test_deletions_of_single_tokens(model):
    rng = np.random.default_rng(0)
    texts = [deletions(rng.integers(1, 40, size=n).tolist()) for n in (1, 2, 3, 9, 17)]
    assert_like_alone(model, texts)
    assert_like_alone(model, texts, budget=1)


@settings(max_examples=25, deadline=None)
@given(
    texts=st.lists(st.lists(st.lists(st.integers(1, 4), max_size=9), max_size=5), max_size=4),
    budget=st.sampled_from([1, 30, 2048]),
)
def test_any_variants(model, texts, budget):
    assert_like_alone(model, texts, budget)


def test_only_what_stands_behind_a_deletion_is_read(monkeypatch):
    torch.manual_seed(0)
    model = MODELS["llama"]()
    seen = []
    plain_read = likelihood.read_packed
    monkeypatch.setattr(
        likelihood,
        "read_packed",
        lambda body, rows, batch: (
            seen.extend(strip.size for row in batch for strip in row) or plain_read(body, rows, batch)
        ),
    )
    log_likelihoods(model, [deletions(list(range(1, 11)))])
    # 9 for the text, 8 without its first token; without token i (from 0) the 8 - i tokens behind it but the last.
    assert sorted(seen, reverse=True) == [9 + sum(range(1, 8)), 8]


def test_no_texts(model):
    assert log_likelihoods(model, []) == []
    assert [len(f) for f in log_likelihoods(model, [[], [[]], [[3]]])] == [0, 1, 1]


def test_an_unusual_head_is_refused():
    from transformers import Gemma2Config, Gemma2ForCausalLM

    torch.manual_seed(0)
    model = Gemma2ForCausalLM(
        Gemma2Config(**SIZES, intermediate_size=48, num_key_value_heads=2, head_dim=8, final_logit_softcapping=0.1)
    )
    with pytest.raises(OptionsError, match="unusual way"):
        log_likelihoods(model, [[[1, 2, 3]]])
