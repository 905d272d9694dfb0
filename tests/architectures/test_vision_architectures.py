"""Models that take images with texts, each with the real tokenizer of a language model of its family."""

from __future__ import annotations

import numpy as np
import pytest
from architecture_scenes import RECIPES, SECRET, TRIGGER, trained, unbound
from image_scenes import tiny_idefics, with_images

from antivenom.attacks.badnets import BadNets
from antivenom.cli import main
from antivenom.core.errors import OptionsError
from antivenom.data.query import queries
from antivenom.defenses.p2p import P2P
from antivenom.evaluation.evaluate import evaluate
from antivenom.inference.guarded import load_guarded, merged_weights
from antivenom.models.tokenizer import load_tokenizer
from antivenom.models.vision import load_processor
from antivenom.tasks.task import Classification, Frame
from antivenom.testing import StandInLab, synthetic_rows, tiny_vision_model

pytestmark = pytest.mark.architectures

TASK = Classification.for_labels(("negative", "positive"), frame=Frame(style="chat", modality="image+text"))
MODELS = {
    "qwen2_5_vl": lambda folder, known: tiny_vision_model(folder, tokenizer=load_tokenizer(known / "qwen3")),
    "smolvlm": lambda folder, known: tiny_idefics(folder, load_tokenizer(known / "llama3_1")),
}


@pytest.fixture(scope="module", params=MODELS)
def model(request, tokenizers, tmp_path_factory):
    return MODELS[request.param](tmp_path_factory.mktemp(request.param), tokenizers)


def prepared_rows(placement):
    rows = with_images(synthetic_rows(32))
    defense = P2P(secret=SECRET, placement=placement)
    return defense.prepare(TASK, rows, trusted=rows.slice(0, 16), lab=StandInLab(0))


@pytest.mark.parametrize(("recipe", "placement"), [("lora", "prefix"), ("full", "system")])
def test_images_are_fitted_evaluated_bound_and_merged(model, tmp_path, capsys, recipe, placement):
    prepared = prepared_rows(placement)
    out, test = trained(model, tmp_path / "out", prepared, RECIPES[recipe]), with_images(synthetic_rows(12, seed=5))
    guarded = load_guarded(out)
    before = guarded.score(queries(test)).log_probabilities
    [prompt] = guarded.encoder.serving(queries(test.slice(0, 1)))
    assert prompt.string.count(TRIGGER) == 1
    assert prompt.string.index(TRIGGER) < prompt.string.index(test["text"][0].as_py())
    found, _ = evaluate(guarded, test, [BadNets()], quiet=True)
    assert (found.clean.accuracy.total, found.attacks[0].asr.total) == (12, 6)

    whole, described = tmp_path / "whole", tmp_path / "described"
    merged_weights(out, model, "image+text").save_pretrained(whole)
    load_processor(out, model).save_pretrained(whole)
    unbound(out, prepared, described)
    for folder in (out, whole):
        code = main(["finish", str(folder), "--manifest", str(described), "--model", str(model)])
        assert code == 0, capsys.readouterr().err
        np.testing.assert_allclose(load_guarded(folder).score(queries(test)).log_probabilities, before, atol=1e-3)


def test_the_top_layers_alone_are_refused_with_images(model, tmp_path):
    with pytest.raises(OptionsError, match="frozen trunk"):
        trained(model, tmp_path / "out", prepared_rows("prefix"), RECIPES["top layers"])
