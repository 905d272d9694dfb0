"""bf16 products over fp32 weights: when they are chosen, and how near they stay to fp32."""

from __future__ import annotations

import json

import pytest
import torch
from test_trainer import examples_of

from antivenom.core.errors import OptionsError
from antivenom.models import precision
from antivenom.models.fused_lora import fused_lora
from antivenom.models.local import LocalModel, load_causal_lm
from antivenom.models.precision import (
    choose_precision,
    laid_out,
    lay_out,
    scoring_precision,
    shapes_in,
    shapes_of,
    take_back,
)
from antivenom.training.fit import _with_lora
from antivenom.training.trainer import make_trainer
from antivenom.training.training_options import TrainingOptions

SHAPES = [(8, 4), (4, 8)]


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ANTIVENOM_CACHE", str(tmp_path))
    monkeypatch.delenv(precision.VARIABLE)
    return tmp_path


def test_what_is_asked_for_is_what_runs(monkeypatch):
    assert choose_precision("bf16", SHAPES) == "bf16"
    assert choose_precision("fp32", SHAPES) == "fp32"
    monkeypatch.setenv(precision.VARIABLE, "bf16")
    assert choose_precision("auto", SHAPES) == "bf16"
    assert choose_precision("fp32", SHAPES) == "fp32"
    monkeypatch.setenv(precision.VARIABLE, "fp8")
    with pytest.raises(OptionsError):
        choose_precision("auto", SHAPES)


@pytest.mark.parametrize(("fp32", "bf16", "chosen"), [(3.0, 1.0, "bf16"), (1.1, 1.0, "fp32"), (1.0, 3.0, "fp32")])
def test_auto_measures_once_per_machine(cache, monkeypatch, fp32, bf16, chosen):
    asked = []
    monkeypatch.setattr(precision, "_seconds", lambda shapes: asked.append(shapes) or (fp32, bf16))
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: True)
    assert [choose_precision("auto", shapes) for shapes in (SHAPES, SHAPES[::-1], SHAPES * 2)] == [chosen] * 3
    assert asked == [sorted(SHAPES)]
    notes = json.loads((cache / precision.NOTE).read_text(encoding="utf-8"))
    assert [note["fp32"] for note in notes.values()] == [fp32]
    monkeypatch.setattr(precision, "_processor", lambda: "another")
    choose_precision("auto", SHAPES)
    assert len(asked) == 2, "another processor is measured by itself"
    (cache / precision.NOTE).write_text("{", encoding="utf-8")
    assert choose_precision("auto", SHAPES) == chosen, "a damaged note is measured again"


def test_auto_measures_nothing_where_there_are_no_bf16_products(cache, monkeypatch):
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    monkeypatch.setattr(precision, "_seconds", lambda _: pytest.fail("measured"))
    assert choose_precision("auto", SHAPES) == "fp32"


def test_products_are_really_measured():
    fp32, bf16 = precision._seconds([(64, 32)])
    assert 0 < fp32 < 1
    assert 0 < bf16 < 1


def test_shapes_are_the_same_in_files_and_in_the_model(model_folder):
    assert set(shapes_in(model_folder)) == set(shapes_of(load_causal_lm(model_folder)))


def test_layers_are_laid_out_once_and_taken_back(model_folder):
    model = load_causal_lm(model_folder)
    ids = torch.tensor([[5, 6, 7]])
    before = model(ids).logits
    changed = lay_out(model, frozen_only=False)
    assert not lay_out(model, frozen_only=False), "a second time there is nothing left to do"
    take_back(changed)
    torch.testing.assert_close(model(ids).logits, before, atol=0, rtol=0)


def train(folder, work, chosen, **options):
    torch.manual_seed(0)
    recipe = TrainingOptions(learning_rate=1e-2, epochs=2, batch_size=8, rank=4, precision=chosen, **options)
    model = load_causal_lm(folder)
    if recipe.method == "lora":
        model = _with_lora(model, recipe)
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.02)
    with fused_lora(model), laid_out(model, chosen, frozen_only=True):
        trainer = make_trainer(model, examples_of(24), recipe, seed=0, work=work)
        trainer.train()
    assert all(p.dtype == torch.float32 for p in model.parameters()), "the weights themselves stay fp32"
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


@pytest.mark.parametrize(
    "options", [{"method": "lora"}, {"method": "lora", "modules": ("q_proj",)}, {"method": "full"}]
)
def test_losses_stay_within_a_percent_of_fp32_and_repeat_to_the_bit(model_folder, tmp_path, options):
    exact, rounded, again = (
        train(model_folder, tmp_path / name, name[:4], **options) for name in ("fp32", "bf16", "bf16 again")
    )
    assert rounded == again
    assert rounded != exact
    assert rounded == pytest.approx(exact, rel=0.01)


def test_scores_stay_near_those_of_fp32(model_folder):
    prompts = [prompt for prompt, _ in examples_of(30)]
    choices = [(5,), (6, 7), (8,)]
    exact = LocalModel(load_causal_lm(model_folder)).score(prompts, choices)
    model = LocalModel(load_causal_lm(model_folder), precision="bf16")
    rounded = model.score(prompts, choices)
    assert rounded.log_probabilities == pytest.approx(exact.log_probabilities, abs=0.02)
    assert (rounded.log_probabilities != exact.log_probabilities).any()
    assert (model.score(prompts, choices).log_probabilities == rounded.log_probabilities).all()


def test_a_model_is_read_in_the_arithmetic_it_was_trained_in(model_folder, monkeypatch):
    monkeypatch.setenv(precision.VARIABLE, "bf16")
    read_in = {trained: scoring_precision(trained, model_folder) for trained in ("fp32", "bf16", None)}
    assert read_in == {"fp32": "fp32", "bf16": "bf16", None: "bf16"}
