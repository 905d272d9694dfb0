"""States of texts: the mean of hidden states as the whole model has them, whatever else is in the batch."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
import torch

from antivenom.core.errors import OptionsError
from antivenom.guards.encoding import make_encoder
from antivenom.guards.guard import unguarded
from antivenom.inference.guarded import GuardedModel
from antivenom.models import text_states as module
from antivenom.models.local import LocalModel, load_causal_lm
from antivenom.models.tokenizer import load_tokenizer
from antivenom.tasks.task import Classification


@pytest.fixture(scope="module")
def model(model_folder):
    return load_causal_lm(model_folder)


@pytest.fixture(scope="module")
def texts():
    rng = Random(0)
    found = [[1, *(rng.randrange(4, 250) for _ in range(rng.choice([1, 2, 5, 30, 31, 90])))] for _ in range(9)]
    return [*found, found[3], [1]]


def test_they_are_the_means_of_the_whole_model(model, texts):
    layers = len(model.model.layers)
    found = LocalModel(model).states(texts)
    assert found.shape == (11, model.config.hidden_size)
    with torch.inference_mode():
        for row, ids in zip(found[:-1], texts[:-1], strict=True):
            out = model(torch.tensor([ids]), output_hidden_states=True).hidden_states
            expected = out[max(round(module.DEPTH * layers), 1)][0, 1:].mean(dim=0)
            assert row == pytest.approx(expected.numpy(), abs=1e-5)
    assert (found[-1] == 0).all()  # a text without tokens


def test_equal_texts_have_equal_states_in_any_order_and_batch(model, texts):
    found = LocalModel(model).states(texts)
    assert (found[9] == found[3]).all()
    order = np.random.default_rng(0).permutation(len(texts))
    assert (LocalModel(model).states([texts[i] for i in order]) == found[order]).all()
    assert LocalModel(model, token_budget=32).states(texts) == pytest.approx(found, abs=1e-5)


def test_layers_above_are_not_run(model, texts):
    ran: list[int] = []
    handles = [
        layer.register_forward_hook(lambda *_, number=number: ran.append(number))
        for number, layer in enumerate(model.model.layers)
    ]
    LocalModel(model).states(texts[:1])
    for handle in handles:
        handle.remove()
    assert ran == list(range(max(round(module.DEPTH * len(handles)), 1)))


def test_wide_states_are_projected_onto_the_same_directions_always(model, texts, monkeypatch):
    whole = LocalModel(model).states(texts)
    monkeypatch.setattr(module, "WIDTH", 8)
    narrow = LocalModel(model).states(texts)
    assert narrow.shape == (11, 8)
    assert (LocalModel(model).states(texts) == narrow).all()
    assert (narrow @ narrow.T).trace() == pytest.approx((whole @ whole.T).trace(), rel=0.5)


def test_a_model_whose_layers_cannot_be_found_is_named(model, texts, monkeypatch):
    monkeypatch.setattr(model.config, "num_hidden_layers", 77)
    with pytest.raises(OptionsError, match="does not list its 77 layers"):
        LocalModel(model).states(texts)


def test_a_guarded_model_reads_bare_texts(model, model_folder):
    tokenizer = load_tokenizer(model_folder)
    encoder = make_encoder(unguarded(Classification.for_labels(("no", "yes"))), tokenizer)
    guarded = GuardedModel(encoder, LocalModel(model))
    told = guarded.states(["a film", f"a film {tokenizer.eos_token}", "", "a film"])
    assert (told[0] == told[3]).all()
    assert (told[0] != told[1]).any()
    bare = encoder.renderer.bare([f"a film {tokenizer.eos_token}"])[0]
    assert tokenizer.eos_token_id not in bare[1:], "a text must not spell control tokens"
