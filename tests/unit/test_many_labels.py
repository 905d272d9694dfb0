"""Label sets of 4, 10 and 150: distinct verbalizers, exact scores, a reserve of every class, balanced reporting."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import numpy as np
import pytest

from antivenom.cli import main
from antivenom.data.rows import table_of
from antivenom.defenses.p2p import P2P
from antivenom.evaluation.metrics import CleanReadings, macro_f1, read_clean
from antivenom.evaluation.rates import Rate
from antivenom.guards.encoding import make_encoder
from antivenom.guards.labels import LabelMap, Readings
from antivenom.tasks.task import Classification
from antivenom.testing import StandInLab

MANY = tuple(f"intent {i}" for i in range(150))


def intents(count: int, seed: int = 0):
    """Rows of 150 classes, some of them rare; the class shows in one word."""
    rng = Random(seed)
    labels = [*MANY, *rng.choices(MANY[:20], k=count - len(MANY))]
    return table_of([f"please do thing{MANY.index(label)} number {i} for me" for i, label in enumerate(labels)], labels)


@pytest.mark.parametrize("count", [4, 10, 150])
def test_digits_of_one_width_stand_for_many_labels(count):
    task = Classification.for_labels(MANY[:count])
    words = task.verbalizers + task.extended
    assert len({len(word) for word in words}) == 1
    assert len(set(words)) == 2 * count


def encoder_for(tokenizer, count: int):
    task = Classification.for_labels(MANY[:count])
    return make_encoder(P2P(reserve="random").guard(task, 0), tokenizer)


def require_told_apart(tokenizer, count: int) -> None:
    encoder = encoder_for(tokenizer, count)
    choices = encoder.choices
    assert len(set(choices)) == 2 * count
    beginnings = {choice[:length] for choice in choices for length in range(1, len(choice))}
    assert not beginnings & set(choices), "no choice is the beginning of another"
    prompt = encoder.guard.wrap("a text")
    for word, choice in list(zip(encoder.guard.labels.choices, choices, strict=True))[:: max(1, count // 10)]:
        assert tuple(encoder.renderer.answer_ids(prompt, word)) == (*encoder.lead, *choice)


@pytest.mark.parametrize("count", [4, 10, 150])
def test_a_tokenizer_tells_the_verbalizers_apart(tokenizer, count):
    require_told_apart(tokenizer, count)


@pytest.mark.slow
@pytest.mark.parametrize("count", [4, 10, 150])
def test_the_real_tokenizer_tells_the_verbalizers_apart(count):
    from antivenom.models.tokenizer import load_tokenizer

    folders = sorted(Path("~/.cache/antivenom/models").expanduser().glob("smollm2-*"))
    if not folders:
        pytest.skip("the embedded model was never unpacked here")
    require_told_apart(load_tokenizer(folders[0]), count)


def test_scores_of_300_choices_equal_plain_forward_passes(model_folder, tokenizer):
    import torch

    from antivenom.models.local import LocalModel, load_causal_lm

    encoder, model = encoder_for(tokenizer, 150), load_causal_lm(model_folder)
    prompts = encoder.serving(["please do thing3", "another"])
    found = LocalModel(model).score(prompts, encoder.choices).log_probabilities
    with torch.inference_mode():
        for number in range(0, 300, 37):
            choice = encoder.choices[number]
            for row, prompt in enumerate(prompts):
                logs = torch.log_softmax(model(torch.tensor([[*prompt, *choice]])).logits[0].double(), dim=-1)
                expected = sum(logs[len(prompt) - 1 + k, token].item() for k, token in enumerate(choice))
                assert found[row, number] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("reserve", ["random", "trusted", "screened"])
def test_the_reserve_holds_every_class(reserve):
    task, train = Classification.for_labels(MANY), intents(600)
    trusted = intents(200, seed=1) if reserve == "trusted" else None
    prepared = P2P(reserve=reserve, ratio=0.2).prepare(task, train, trusted=trusted, lab=StandInLab(0))
    rows = prepared.rows.filter(prepared.rows.column("benign"))
    assert set(rows.column("answer").to_pylist()) == set(task.labels)


def test_balanced_readings_by_hand():
    truth, said = np.array([0, 0, 0, 0, 1, 1, 2]), np.array([0, 0, 0, 1, 1, 0, 0])
    nothing = np.zeros(len(truth))
    readings = Readings(said, nothing, nothing, said, said, nothing.astype(bool))
    clean = read_clean(readings, truth, ("a", "b", "c", "d"), extends=False)
    assert clean.accuracy.hits == 4
    assert clean.balanced_accuracy == pytest.approx((3 / 4 + 1 / 2 + 0) / 3)
    assert clean.macro_precision == pytest.approx((3 / 5 + 1 / 2) / 2)
    assert clean.macro_f1 == pytest.approx(macro_f1(said, truth))
    assert {label: (rate.hits, rate.total) for label, rate in clean.per_class.items()} == {
        "a": (3, 4),
        "b": (1, 2),
        "c": (0, 1),
        "d": (0, 0),
    }
    assert clean.per_class["d"] == Rate(0, 0, None, None, None)
    assert CleanReadings.from_dict(json.loads(json.dumps(clean.to_dict()))) == clean


def test_records_from_before_are_still_read():
    one = np.array([0, 1])
    readings = Readings(one, one * 0.0, one * 0.0, one, one, one.astype(bool))
    data = read_clean(readings, one, ("a", "b"), extends=False).to_dict()
    for name in ("balanced_accuracy", "macro_precision", "per_class"):
        del data[name]
    assert CleanReadings.from_dict(data).balanced_accuracy is None


def test_150_labels_from_rows_to_report(tmp_path, model_folder, capsys):
    from antivenom.artifacts.export import write_rows

    write_rows(tmp_path / "train.jsonl", intents(300))
    write_rows(tmp_path / "test.jsonl", intents(160, seed=2))
    out = str(tmp_path / "model")
    common = ["--model", str(model_folder), "--out", out, "--quiet"]
    recipe = ["--epochs", "1", "--defense", "p2p:reserve=random", "--skip-refused", "--force"]
    assert main(["fit", str(tmp_path / "train.jsonl"), *common, *recipe]) == 0, capsys.readouterr().err
    capsys.readouterr()
    test = [str(tmp_path / "test.jsonl"), "--attack", "badnets", "--quiet"]
    assert main(["evaluate", out, *test, "--json"]) == 0, capsys.readouterr().err
    found = json.loads(capsys.readouterr().out)
    assert len(found["clean"]["per_class"]) == 150
    assert sum(rate["total"] for rate in found["clean"]["per_class"].values()) == 160
    assert 0 <= found["clean"]["balanced_accuracy"] <= 1
    assert found["attacks"][0]["asr"]["total"] == 160 - found["clean"]["per_class"]["intent 0"]["total"]
    assert LabelMap.extended(Classification.for_labels(MANY)).allowed == tuple(range(150, 300))
