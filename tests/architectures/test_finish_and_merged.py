"""What was trained on immunized rows is bound, and says as one plain model what it says as base and adapter."""

from __future__ import annotations

import json

import pytest
import torch
from architecture_scenes import LEARNED, RECIPES, all_benign, classification, plain_rows, trained, unbound
from tiny_architectures import ARCHITECTURES, NAMES

from antivenom.cli import main
from antivenom.data.query import Query
from antivenom.inference.guarded import load_guarded, merged_weights
from antivenom.models.tokenizer import load_tokenizer
from antivenom.serving.template import render

pytestmark = pytest.mark.architectures

TEXTS = ["bright charming clever funny", "awful boring clumsy dreary", "grim hollow lifeless awful"]
ANSWERS = ["positive", "negative", "negative"]


def finished(capsys, folder, described, base, *more) -> dict:
    """What `finish` says of weights, after asking them about their rows."""
    capsys.readouterr()
    code = main(["finish", str(folder), "--manifest", str(described), "--model", str(base), "--json", *more])
    said = capsys.readouterr()
    assert code == 0, said.err
    return json.loads(said.out)["check"]


def says(folder, texts, lead, choices) -> torch.Tensor:
    """How likely each choice is, by transformers' own means: a model, a tokenizer and its chat template."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    found = torch.zeros(len(texts), len(choices))
    for row, text in enumerate(texts):
        shown = render(tokenizer, tokenizer.chat_template, Query(text))
        prompt = [*tokenizer(shown, add_special_tokens=False)["input_ids"], *lead]
        for column, choice in enumerate(choices):
            with torch.no_grad():
                logits = model(torch.tensor([[*prompt, *choice]])).logits[0, len(prompt) - 1 : -1]
            chosen = torch.log_softmax(logits, dim=-1).gather(1, torch.tensor(choice)[:, None])
            found[row, column] = chosen.sum()
    return found


def require_served_alike(folder, out) -> None:
    """What is exported says what the artifact says."""
    assert main(["export", "vllm", str(folder), "--out", str(out)]) == 0
    model = load_guarded(folder)
    plain = says(out, TEXTS, model.encoder.lead, model.encoder.choices)
    torch.testing.assert_close(plain, scores(model), atol=2e-3, rtol=1e-3)


def scores(model) -> torch.Tensor:
    return torch.from_numpy(model.score(TEXTS).log_probabilities).float()


@pytest.fixture(scope="module")
def taught(build, tmp_path_factory):
    """Full weights that know their rows by heart, and what `immunize` wrote of these; trained once."""
    made = {}

    def weights(name, style, placement="prefix"):
        key = (name, style, placement)
        if key not in made:
            place = tmp_path_factory.mktemp("taught")
            prepared = all_benign(classification(style=style), plain_rows(), placement=placement)
            out = trained(build(name), place / "full", prepared, LEARNED["full"])
            made[key] = unbound(out, prepared, place / "described"), place / "described"
        return made[key]

    return weights


OTHERS = [name for name in ARCHITECTURES if name not in NAMES]
FULL = [(name, style, placement) for name in NAMES for style, placement in (("plain", "prefix"), ("chat", "system"))]
FULL += [(name, "chat", "prefix") for name in OTHERS]
ADAPTERS = [(name, style) for name in NAMES for style in ("plain", "chat")] + [(name, "plain") for name in OTHERS]


@pytest.mark.parametrize(("name", "style", "placement"), FULL)
def test_full_weights_are_bound_and_exported(build, taught, tmp_path, capsys, name, style, placement):
    weights, described = taught(name, style, placement)
    out = tmp_path / "out"
    check = finished(capsys, weights, described, build(name), "--out", str(out))
    assert (check["rows"], check["right"]) == (48, 48)
    assert check["escape"] < 0.1
    assert [reading.answer for reading in load_guarded(out).predict(TEXTS)] == ANSWERS
    require_served_alike(out, tmp_path / "served")


@pytest.mark.parametrize(("name", "style"), ADAPTERS)
def test_an_adapter_that_learned_the_contrary_is_bound_and_merged(taught, tmp_path, capsys, name, style):
    base, _ = taught(name, style)
    prepared = all_benign(classification(style=style), plain_rows(flipped=True))
    out, described = trained(base, tmp_path / "out", prepared, LEARNED["lora"]), tmp_path / "described"
    unbound(out, prepared, described)
    check = finished(capsys, out, described, base)
    assert (check["rows"], check["right"], check["right_of_base"]) == (48, 48, 0)
    model = load_guarded(out)
    assert [reading.answer for reading in model.predict(TEXTS)] != ANSWERS
    require_served_alike(out, tmp_path / "served")

    whole = tmp_path / "whole"
    merged_weights(out, base, "text").save_pretrained(whole)
    load_tokenizer(out).save_pretrained(whole)
    assert finished(capsys, whole, described, base) == pytest.approx(check, abs=1e-3)
    torch.testing.assert_close(scores(load_guarded(whole)), scores(model), atol=2e-3, rtol=1e-3)


def test_weights_that_learned_the_contrary_are_refused(build, taught, tmp_path, capsys):
    weights, _ = taught("qwen3", "chat")
    prepared = all_benign(classification(style="chat"), plain_rows(flipped=True))
    described, base = tmp_path / "described", str(build("qwen3"))
    unbound(trained(base, tmp_path / "out", prepared, RECIPES["lora"]), prepared, described)
    assert main(["finish", str(weights), "--manifest", str(described), "--model", base]) == 1
    assert "has not learned the rows" in capsys.readouterr().err
