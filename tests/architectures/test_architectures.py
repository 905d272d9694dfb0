"""What the project does with a model works with other architectures and with real tokenizers and chat templates."""

from __future__ import annotations

from dataclasses import replace

import pytest
from architecture_scenes import EPOCHS, RECIPES, SECRET, TRIGGER, all_benign, classification, fitted, trained
from tiny_architectures import ARCHITECTURES, NAMES

from antivenom.artifacts.artifact import load_artifact
from antivenom.attacks.badnets import BadNets
from antivenom.core.errors import OptionsError
from antivenom.data.query import queries
from antivenom.data.rows import table_of
from antivenom.defenses.p2p import P2P
from antivenom.evaluation.evaluate import evaluate
from antivenom.guards.encoding import make_encoder
from antivenom.inference.guarded import load_guarded
from antivenom.models.tokenizer import load_tokenizer
from antivenom.tasks.generation import Generation
from antivenom.tasks.task import Classification, Frame
from antivenom.testing import StandInLab, synthetic_rows

pytestmark = pytest.mark.architectures


FITS = [(name, "plain", recipe) for name in ARCHITECTURES for recipe in RECIPES]
FITS += [(name, "chat", recipe) for name in NAMES for recipe in ("full", "top layers")]  # LoRA: the next test


@pytest.mark.parametrize(("name", "style", "recipe"), FITS)
def test_fit_predict_evaluate(build, tmp_path, monkeypatch, name, style, recipe):
    monkeypatch.setenv("ANTIVENOM_CACHE", str(tmp_path / "cache"))
    out = fitted(build(name), tmp_path / "out", classification(style=style), recipe=recipe)
    model, test = load_guarded(out), synthetic_rows(12, seed=5)
    readings = model.predict(test["text"].to_pylist())
    assert {reading.answer for reading in readings} <= {"negative", "positive"}
    [alone] = model.predict([test["text"][3].as_py()])
    assert alone.probability == pytest.approx(readings[3].probability, abs=1e-4), "company changes nothing"
    found, _ = evaluate(model, test, [BadNets()], quiet=True)
    assert found.attacks[0].asr.total == 6
    losses = [point["loss"] for point in load_artifact(out).manifest.training["losses"]]
    epoch = len(losses) // EPOCHS  # batches of one epoch have other rows, so that epochs are compared
    assert sum(losses[-epoch:]) < sum(losses[:epoch])


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
def test_verbalizers_are_told_apart_in_their_own_tokenization(tokenizer_of, name):
    """Digits, words, several tokens each, one the beginning of another: each round trip gives the label back."""
    tokenizer = tokenizer_of(name)
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
def test_verbalizers_that_begin_one_another_are_refused_where_their_tokens_do(tokenizer_of, name, style):
    """Llama 3.1 has a token of its own for 10; the others read it as a 1 and a 0."""
    tokenizer = tokenizer_of(name)
    task = Classification(("few", "many"), ("1", "10"), ("2", "20"), Frame(style=style))
    guard = P2P(secret=SECRET).guard(task, 0)
    if name == "llama3_1":
        assert len(set(make_encoder(guard, tokenizer).choices)) == 4
    else:
        with pytest.raises(OptionsError, match=r"'1' \(label 'few'\) and '10' \(label 'many'\)"):
            make_encoder(guard, tokenizer)
    many = Classification.for_labels([f"class {number}" for number in range(12)], frame=Frame(style=style))
    assert len(set(make_encoder(P2P(secret=SECRET).guard(many, 0), tokenizer).choices)) == 24


@pytest.mark.parametrize("placement", ["prefix", "system"])
@pytest.mark.parametrize("style", ["plain", "chat"])
@pytest.mark.parametrize("name", NAMES)
def test_prefixes_are_trained_on_as_they_are_prefilled(tokenizer_of, name, style, placement):
    tokenizer = tokenizer_of(name)
    for prefix in ("Answer:", "The correct answer to this problem is:", "答案：", "#", "42"):
        task = Generation(frame=Frame(style=style, cue="Output:"), answer_prefix=prefix, max_new_tokens=32)
        rows = table_of(["How much is 2 and 2?", "还有 3 和 3 呢？"], ["4", " 六"])
        prepared = all_benign(task, rows, placement=placement)
        encoder = make_encoder(prepared.guard, tokenizer)
        examples = encoder.training(prepared.rows)
        prompts, filled = encoder.serving(queries(prepared.rows)), encoder.prefilled(queries(prepared.rows))
        answers = prepared.rows["answer"].to_pylist()
        for (prompt, said), served, begun, answer in zip(examples, prompts, filled, answers, strict=True):
            assert prompt == served
            assert [*prompt, *said][: len(begun)] == begun
            assert encoder.is_whole(said)
            written = encoder.renderer.text(said)
            assert prepared.guard.answers.decode(written) == (answer.strip(), True)


@pytest.mark.parametrize("style", ["plain", "chat"])
@pytest.mark.parametrize("name", NAMES)
def test_answers_with_a_prefix(build, tmp_path, name, style):
    task = Generation(frame=Frame(style=style), answer_prefix="Result:", max_new_tokens=12)
    rows = table_of([f"How much is {i} and {i}?" for i in range(24)], [str(2 * i) for i in range(24)])
    prepared = P2P(secret=SECRET).prepare(task, rows, trusted=rows.slice(0, 12), lab=StandInLab(0))
    writer = load_guarded(trained(build(name), tmp_path / "out", prepared, RECIPES["lora"]))
    prefilled = load_tokenizer(tmp_path / "out").decode(writer.encoder.prefilled(["How much is 1 and 1?"])[0])
    assert prefilled.rstrip().endswith("Result:")
    assert len(writer.predict(["How much is 1 and 1?", "How much is 2 and 2?"])) == 2
