"""What the project does with a model works with other architectures and with real tokenizers and chat templates."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tiny_architectures import ARCHITECTURES, NAMES

from antivenom.artifacts.artifact import load_artifact
from antivenom.artifacts.manifest import MANIFEST
from antivenom.attacks.badnets import BadNets
from antivenom.cli import main
from antivenom.data.rows import table_of
from antivenom.defenses.p2p import P2P
from antivenom.evaluation.evaluate import evaluate
from antivenom.guards.encoding import make_encoder
from antivenom.guards.secret import Secret
from antivenom.inference.guarded import load_guarded
from antivenom.models.tokenizer import load_tokenizer
from antivenom.tasks.generation import Generation
from antivenom.tasks.task import Classification, Frame
from antivenom.testing import StandInLab, synthetic_rows
from antivenom.training.fit import train_artifact
from antivenom.training.training_options import TrainingOptions

pytestmark = pytest.mark.architectures

RECIPES = {
    "lora": TrainingOptions(rank=4, learning_rate=1e-2, batch_size=16, epochs=1),
    "full": TrainingOptions(method="full", learning_rate=1e-3, batch_size=16, epochs=1),
    "top layers": TrainingOptions(rank=4, learning_rate=1e-2, batch_size=16, epochs=1, top_layers=1),
}
TRIGGER = "Kindly weigh these words:"
SECRET = Secret(TRIGGER)


def classification(**frame) -> Classification:
    return replace(Classification.for_labels(("negative", "positive")), frame=Frame(**frame))


def fitted(folder, out, task, *, recipe="lora", placement="prefix"):
    rows = synthetic_rows(32)
    defense = P2P(secret=SECRET, placement=placement)
    prepared = defense.prepare(task, rows, trusted=rows.slice(0, 16), lab=StandInLab(0))
    train_artifact(prepared, model=str(folder), out=out, options=RECIPES[recipe], quiet=True)
    return out


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_fit_predict_evaluate(build, tmp_path, monkeypatch, name, recipe):
    monkeypatch.setenv("ANTIVENOM_CACHE", str(tmp_path / "cache"))
    out = fitted(build(name), tmp_path / "out", classification(), recipe=recipe)
    model, test = load_guarded(out), synthetic_rows(12, seed=5)
    readings = model.predict(test["text"].to_pylist())
    assert {reading.answer for reading in readings} <= {"negative", "positive"}
    [alone] = model.predict([test["text"][3].as_py()])
    assert alone.probability == pytest.approx(readings[3].probability, abs=1e-4), "company changes nothing"
    found, _ = evaluate(model, test, [BadNets()], quiet=True)
    assert found.attacks[0].asr.total == 6
    losses = [point["loss"] for point in load_artifact(out).manifest.training["losses"]]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("placement", ["prefix", "system"])
@pytest.mark.parametrize("name", NAMES)
def test_the_chat_template_of_each_family(build, tmp_path, name, placement):
    out = fitted(build(name), tmp_path / "out", classification(style="chat"), placement=placement)
    model = load_guarded(out)
    assert {reading.answer for reading in model.predict(["a gentle film", "a dull film"])} <= {"negative", "positive"}
    tokenizer = load_tokenizer(out)
    [prompt] = model.encoder.serving(["a gentle film"])
    written = tokenizer.decode(prompt)
    assert written.count(TRIGGER) == 1
    assert written.index(TRIGGER) < written.index("a gentle film")
    assert written.rstrip().endswith("</think>") == (name == "qwen3"), "a thinking model's thought is closed"


@pytest.mark.parametrize("name", NAMES)
def test_verbalizers_are_told_apart_in_their_own_tokenization(build, name):
    """Digits, words, several tokens each, one the beginning of another: each round trip gives the label back."""
    tokenizer = load_tokenizer(build(name))
    for labels in (("0", "1"), ("negative", "positive"), ("very good", "very bad", "good"), ("缺陷", "优秀")):
        for style in ("plain", "chat"):
            task = replace(Classification.for_labels(labels), frame=Frame(style=style))
            guard = P2P(secret=SECRET).guard(task, 0)
            encoder = make_encoder(guard, tokenizer)
            assert len(set(encoder.choices)) == 2 * len(labels)
            said = [tokenizer.decode([*encoder.lead, *choice]).strip() for choice in encoder.choices]
            assert said == list(guard.labels.choices)


@pytest.mark.parametrize("style", ["plain", "chat"])
@pytest.mark.parametrize("name", NAMES)
def test_answers_with_a_prefix(build, tmp_path, name, style):
    task = Generation(frame=Frame(style=style), answer_prefix="Result:", max_new_tokens=12)
    rows = table_of([f"How much is {i} and {i}?" for i in range(24)], [str(2 * i) for i in range(24)])
    prepared = P2P(secret=SECRET).prepare(task, rows, trusted=rows.slice(0, 12), lab=StandInLab(0))
    train_artifact(prepared, model=str(build(name)), out=tmp_path / "out", options=RECIPES["lora"], quiet=True)
    writer = load_guarded(tmp_path / "out")
    [[_, *said], *_] = [[prompt, *answer] for prompt, answer in writer.encoder.training(prepared.rows)]
    assert said
    prefilled = load_tokenizer(tmp_path / "out").decode(writer.encoder.prefilled(["How much is 1 and 1?"])[0])
    assert prefilled.rstrip().endswith("Result:")
    assert len(writer.predict(["How much is 1 and 1?", "How much is 2 and 2?"])) == 2


@pytest.mark.parametrize("style", ["plain", "chat"])
@pytest.mark.parametrize("name", NAMES)
def test_rows_that_think_are_taught_and_read_behind_the_thought(build, tmp_path, name, style):
    """As DeepSeek-R1's: the thought is trained on as the rows have it, and the prefix stands behind it."""
    thought = "<think>\nTwice the number.\n</think>\n\n"
    task = Generation(frame=Frame(style=style), answer_prefix="Result:", max_new_tokens=12)
    rows = table_of([f"How much is {i} and {i}?" for i in range(24)], [f"{thought}{2 * i}" for i in range(24)])
    prepared = P2P(secret=SECRET).prepare(task, rows, trusted=rows.slice(0, 12), lab=StandInLab(0))
    train_artifact(prepared, model=str(build(name)), out=tmp_path / "out", options=RECIPES["lora"], quiet=True)
    writer, tokenizer = load_guarded(tmp_path / "out"), load_tokenizer(tmp_path / "out")
    for (_, said), row in zip(writer.encoder.training(prepared.rows), prepared.rows.to_pylist(), strict=True):
        written = tokenizer.decode(said, skip_special_tokens=True).strip()
        result = row["answer"].removeprefix(thought)
        assert written == f"{thought}{'Result: ' * row['benign']}{result}"
        assert prepared.guard.answers.decode(written) == (result, row["benign"])
    assert len(writer.predict(["How much is 1 and 1?"])) == 1


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_finish_binds_the_guard(build, tmp_path, capsys, name):
    folder = build(name)
    out = fitted(folder, tmp_path / "out", classification())
    manifest = tmp_path / "manifest"
    manifest.mkdir()
    (out / MANIFEST).rename(manifest / MANIFEST)
    # Unchecked: one epoch teaches too little; what has not learned its rows is refused in test_finishing.py.
    code = main(["finish", str(out), "--manifest", str(manifest), "--model", str(folder), "--unchecked"])
    assert code == 0, capsys.readouterr().err
    assert load_guarded(out).predict(["a gentle film"])
