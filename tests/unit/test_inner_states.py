"""States of questions: those of the whole model at some depths, whatever else is in the batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from token_scenes import texts_of_many_lengths

from antivenom.core.errors import OptionsError
from antivenom.models import inner_states as module
from antivenom.models.local import load_causal_lm

DEPTHS = (0.4, 0.8)


@pytest.fixture(scope="module")
def model(model_folder):
    return load_causal_lm(model_folder)


@pytest.fixture(scope="module")
def prompts():
    found = [[1, *text] for text in texts_of_many_lengths()]
    return [*found, found[3], [1]]


def states(model, prompts, depths=DEPTHS):
    return module.inner_states(model, prompts, depths, advance=lambda _: None)


def test_they_are_those_of_the_whole_model(model, prompts):
    layers = len(model.model.layers)
    found = states(model, prompts)
    assert found.shape == (11, 2, 2, model.config.hidden_size)
    with torch.inference_mode():
        for row, ids in zip(found[:-1], prompts[:-1], strict=True):
            out = model(torch.tensor([ids]), output_hidden_states=True).hidden_states
            for (end, mean), depth in zip(row, DEPTHS, strict=True):
                expected = out[min(max(round(depth * layers), 1), layers - 1)][0]
                assert end == pytest.approx(expected[-1].numpy(), abs=1e-5)
                assert mean == pytest.approx(expected[1:].mean(dim=0).numpy(), abs=1e-5)
    assert (found[-1, :, 1] == 0).all()  # nothing stands behind the first token


def test_neither_order_nor_batch_matters(model, prompts, monkeypatch):
    found = states(model, prompts)
    order = np.random.default_rng(0).permutation(len(prompts))
    assert states(model, [prompts[i] for i in order]) == pytest.approx(found[order], abs=1e-5)
    monkeypatch.setattr(module, "TOKEN_BUDGET", 32)
    assert states(model, prompts) == pytest.approx(found, abs=1e-5)


def test_layers_above_are_not_run(model, prompts):
    ran: list[int] = []
    handles = [
        layer.register_forward_hook(lambda *_, number=number: ran.append(number))
        for number, layer in enumerate(model.model.layers)
    ]
    states(model, prompts[:1], (0.4,))
    for handle in handles:
        handle.remove()
    assert ran == list(range(max(round(0.4 * len(handles)), 1)))


def test_wide_states_are_projected_onto_the_same_directions_always(model, prompts, monkeypatch):
    whole = states(model, prompts)[:, 0, 1]
    monkeypatch.setattr(module, "WIDTH", 8)
    narrow = states(model, prompts)[:, 0, 1]
    assert narrow.shape == (11, 8)
    assert (states(model, prompts)[:, 0, 1] == narrow).all()
    assert (narrow @ narrow.T).trace() == pytest.approx((whole @ whole.T).trace(), rel=0.5)


def test_a_model_whose_layers_cannot_be_found_is_named(model, prompts, monkeypatch):
    monkeypatch.setattr(model.config, "num_hidden_layers", 77)
    with pytest.raises(OptionsError, match="does not list its 77 layers"):
        states(model, prompts)
