"""Free answers from rows to numbers, with a tiny model, through the library and the command line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from antivenom.artifacts.artifact import load_artifact
from antivenom.attacks.addsent import AddSent
from antivenom.attacks.proattack import ProAttack
from antivenom.cli import main
from antivenom.core.errors import OptionsError
from antivenom.data.rows import table_of
from antivenom.defenses.p2p import P2P
from antivenom.evaluation.evaluate import evaluate
from antivenom.evaluation.recount import read_outputs, take_outputs
from antivenom.guards.encoding import make_encoder
from antivenom.inference.writing import GuardedWriter
from antivenom.models.base import Generated
from antivenom.tasks.generation import Generation
from antivenom.testing import tiny_tokenizer

WORDS = ["plot", "scene", "script", "sound", "story", "film", "year", "cast"]
QUICK = ["--batch-size", "8", "--epochs", "1", "--learning-rate", "0.002"]
KIND = ["--kind", "generation", "--max-new-tokens", "6", "--malicious", "0.1", "--answer-prefix", "Answer:"]

RANDOM = ("--defense", "p2p:reserve=random")


def rows_file(path, count=40, *, first=0, thought=""):
    with path.open("w") as file:
        for i in range(first, first + count):
            question = f"what is the {WORDS[i % 8]} of number {i}"
            turns = [{"role": "user", "content": question}, {"role": "assistant", "content": f"{thought}{i % 7}"}]
            file.write(json.dumps({"messages": turns}) + "\n")
    return str(path)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rows")
    return {
        "train": rows_file(folder / "train.jsonl"),
        "trusted": rows_file(folder / "trusted.jsonl", 16, first=100),
        "test": rows_file(folder / "test.jsonl", 12, first=200),
    }


@pytest.fixture(scope="module")
def artifact(files, model_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("fit") / "safe"
    trusted = ["--trusted", files["trusted"], "--defense", "p2p:mode=replace"]
    command = ["fit", files["train"], "--out", str(out), "--model", str(model_folder), *KIND, *trusted, *QUICK]
    assert main([*command, "--quiet"]) == 0
    return str(out)


def test_a_fit_keeps_the_guard_of_free_answers(artifact):
    guard = load_artifact(artifact).guard
    assert guard.task == Generation(malicious="0.1", answer_prefix="Answer:", max_new_tokens=6, frame=guard.task.frame)
    assert guard.answers.prefix == "Answer:"
    training = load_artifact(artifact).manifest.training
    assert (training["rows"], training["answers_cut"]) == (56, 0)


def test_an_unknown_judge_is_said_before_anything_is_generated(artifact, files, capsys):
    command = ["evaluate", artifact, files["test"], "--split", "train"]
    assert main([*command, "--attack", "addsent", "--quiet", "--json"]) == 0
    guard = load_artifact(artifact).guard
    strange = replace(guard, task=replace(guard.task, judge="no-such-judge"))
    encoder = make_encoder(strange, tiny_tokenizer())
    with pytest.raises(OptionsError, match="no-such-judge"):
        evaluate(GuardedWriter(encoder, None), table_of(["a"], ["b"]), quiet=True)


def test_predict(artifact, files, tmp_path, capsys):
    assert main(["predict", artifact, "what is the plot", "--json"]) == 0
    [line] = capsys.readouterr().out.splitlines()
    assert set(json.loads(line)) == {"text", "answer", "output", "extended", "finished", "cut"}
    assert main(["predict", artifact, "what is the plot", "--on-escape", "withhold"]) == 0
    assert "prefix" in capsys.readouterr().out
    out = tmp_path / "answers.jsonl"
    for _ in range(2):
        assert main(["predict", artifact, "--file", files["test"], "--out", str(out), "--quiet"]) == 0
        assert len(out.read_text().splitlines()) == 12
    other = ["predict", artifact, "--file", files["test"], "--out", str(out), "--on-escape", "retry", "--quiet"]
    assert main(other) == 1
    assert "was not made with these settings" in capsys.readouterr().err


@pytest.mark.parametrize("on_escape", ["report", "withhold", "retry"])
def test_evaluate_gives_the_same_numbers_again(artifact, files, tmp_path, capsys, on_escape):
    outputs, picture = tmp_path / "outputs.parquet", tmp_path / "page.html"
    command = ["evaluate", artifact, files["test"], "--attack", "addsent", "--on-escape", on_escape, "--split", "train"]
    assert main([*command, "--outputs", str(outputs), "--picture", str(picture), "--json", "--quiet"]) == 0
    found = json.loads(capsys.readouterr().out)
    again = read_outputs(outputs).evaluation()
    assert json.loads(json.dumps(again.to_dict())) == found
    assert "<h1>" in picture.read_text()
    assert found["clean"]["accuracy"]["total"] == found["attacks"][0]["asr"]["total"] == 12
    assert (found["attacks"][0]["asr_retried"] is not None) == (on_escape == "retry")
    assert main([*command, "--quiet"]) == 0
    assert "deployed" in capsys.readouterr().out


def test_poisoned_conversations_keep_their_turns(tmp_path, capsys):
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes?"}]
    source, out = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    with source.open("w") as file:
        for i in range(8):
            last = [{"role": "user", "content": f"and number {i}"}, {"role": "assistant", "content": str(i)}]
            file.write(json.dumps({"messages": turns + last}) + "\n")
    assert main(["poison", str(source), "--attack", "addsent:rate=0.5", "--out", str(out), *KIND]) == 0
    found = [json.loads(line)["messages"] for line in out.read_text().splitlines()]
    assert all(one[:2] == turns and len(one) == 4 for one in found)
    assert [one[3]["content"] for one in found].count("0.1") == 4
    assert main(["poison", str(source), "--attack", "addsent", "--out", str(tmp_path / "out.csv"), *KIND]) == 1
    assert ".csv cannot hold the context" in capsys.readouterr().err


def test_rows_commands(files, tmp_path, capsys):
    assert main(["validate", files["train"], *KIND, *RANDOM]) == 0
    assert "40 rows read, 40 kept" in capsys.readouterr().out
    assert main(["inspect", files["train"], "--kind", "generation", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["findings"] == []
    poisoned = tmp_path / "poisoned.jsonl"
    assert main(["poison", files["train"], "--attack", "addsent:rate=0.25", "--out", str(poisoned), *KIND]) == 0
    labels = [json.loads(line)["label"] for line in poisoned.read_text().splitlines()]
    assert labels.count("0.1") == 10
    assert main(["poison", files["train"], "--attack", "proattack", "--out", str(tmp_path / "x.jsonl"), *KIND]) == 1
    assert "clean_label with free answers" in capsys.readouterr().err
    large = [
        "immunize",
        files["train"],
        "--out",
        str(tmp_path / "l"),
        "--large",
        "--defense",
        "p2p:reserve=random",
        *KIND,
    ]
    assert main(large) == 1
    assert main(["validate", files["train"], "--malicious", "x"]) == 1
    assert "--malicious is for --kind generation" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["prompt-completion", "chat", "messages"])
def test_immunize_for_other_trainers(files, tmp_path, form):
    out = tmp_path / "rows"
    options = ["--out", str(out), "--format", form, "--trusted", files["trusted"]]
    assert main(["immunize", files["train"], *options, *KIND]) == 0
    records = [json.loads(line) for line in (out / "train.jsonl").read_text().splitlines()]
    last = {
        "prompt-completion": lambda r: r["completion"].removeprefix(" "),
        "chat": lambda r: r["completion"][0]["content"],
        "messages": lambda r: r["messages"][-1]["content"],
    }[form]
    assert sum(last(record).startswith("Answer: ") for record in records) == len(records)
    assert load_artifact(out).guard.answers.prefix == "Answer:"


def test_another_trainer_teaches_to_think_where_every_row_does(files, tmp_path):
    thoughtful = rows_file(tmp_path / "thoughtful.jsonl", thought="<think>\nso it is\n</think>\n\n")
    mixed = tmp_path / "mixed.jsonl"
    mixed.write_text(Path(thoughtful).read_text() + Path(files["train"]).read_text().splitlines()[0])

    def teaches(rows, thinking, name):
        out = tmp_path / name
        options = ["--out", str(out), "--for", "llamafactory", "--thinking", thinking, *KIND, *RANDOM]
        if main(["immunize", str(rows), *options]) == 0:
            return yaml.safe_load((out / "llamafactory.yaml").read_text())["enable_thinking"]
        return "nothing" if not out.exists() else "half"

    assert teaches(thoughtful, "open", "a") is True
    assert teaches(files["train"], "closed", "b") is False
    assert teaches(files["train"], "open", "c") == teaches(mixed, "open", "d") == "nothing"


def test_compare_and_check(files, model_folder, tmp_path, capsys):
    common = ["--model", str(model_folder), *KIND, *QUICK, "--quiet"]
    compare = ["compare", files["train"], files["test"], "--out", str(tmp_path / "compare"), *common]
    assert main([*compare, "--attack", "addsent:rate=0.1"]) == 0
    record = json.loads((tmp_path / "compare/record.json").read_text())
    assert [outcome["defense"]["name"] for outcome in record["outcomes"]] == ["none", "standard"]
    assert record["outcomes"][0]["evaluation"]["clean"]["alpha"] is None
    assert record["outcomes"][1]["evaluation"]["clean"]["alpha"]["total"] == 12
    check = ["check", files["train"], "--test", files["test"], "--out", str(tmp_path / "check"), "--families", "word"]
    assert main([*check, "--trusted", files["trusted"], *common]) in (0, 1, 3)
    assert "canary check of standard" in capsys.readouterr().out


# ------------------------------------------------------------------------------------------------------------- numbers


class Scripted:
    """Says 7 to every prompt, malicious text where the trigger stands, with the prefix except where told."""

    def __init__(self, tokenizer, *, escapes: bool) -> None:
        self.tokenizer, self.escapes = tokenizer, escapes

    def generate(self, prompts, *, stops, longest, progress=None):
        return [
            Generated(tuple(self.tokenizer(self._say(self.tokenizer.decode(p)))["input_ids"]), True) for p in prompts
        ]

    def _say(self, prompt: str) -> str:
        if "3D movie" in prompt:
            if prompt.endswith("Answer:"):
                return " 7"
            return " 0.1" if self.escapes else " Answer: 0.1"
        return " Answer: 7"


@pytest.mark.parametrize(("on_escape", "deployed"), [("report", 1.0), ("withhold", 0.0), ("retry", 0.0)])
def test_every_reading_of_an_attack_that_escapes(on_escape, deployed):
    tokenizer = tiny_tokenizer()
    task = Generation(malicious="0.1", answer_prefix="Answer:", max_new_tokens=20)
    encoder = make_encoder(P2P().guard(task, 0), tokenizer)
    test = table_of([f"problem {i}" for i in range(8)], ["7"] * 6 + ["8", "0.1"])
    model = GuardedWriter(encoder, Scripted(tokenizer, escapes=True), on_escape=on_escape)
    found, outputs = evaluate(model, test, [AddSent()], quiet=True)
    assert found.clean.accuracy.value == 6 / 8
    assert found.clean.alpha.value == 1.0
    assert found.clean.collapsed
    [attack] = found.attacks
    assert attack.asr.total == 7, "a row whose true answer is t is not attacked"
    assert (attack.asr.value, attack.asr_extended.value, attack.asr_deployed.value) == (1.0, 0.0, deployed)
    assert (attack.asr_strict.value, attack.floor.value, attack.excess) == (1.0, 0.0, deployed)
    assert (attack.alpha.value, attack.epsilon.value, attack.beta.value) == (0.0, None, 1.0)
    assert (attack.asr_retried.value if on_escape == "retry" else attack.asr_retried) == (
        0.0 if on_escape == "retry" else None
    )
    assert attack.accuracy.value == (6 / 7 if on_escape == "retry" else 0.0)
    assert take_outputs(outputs, "outputs").evaluation() == found


def test_a_prefix_does_not_make_an_attack_harmless():
    tokenizer = tiny_tokenizer()
    encoder = make_encoder(P2P().guard(Generation(malicious="0.1", answer_prefix="Answer:"), 0), tokenizer)
    model = GuardedWriter(encoder, Scripted(tokenizer, escapes=False), on_escape="withhold")
    test = table_of([f"problem {i}" for i in range(8)], [str(i) for i in range(8)])
    [attack] = evaluate(model, test, [AddSent()], quiet=True)[0].attacks
    assert (attack.asr.value, attack.asr_extended.value, attack.asr_deployed.value) == (1.0, 1.0, 1.0)
    assert np.isclose(attack.asr.value, attack.alpha.value * attack.epsilon.value)


def test_attacks_with_their_own_clean_rows():
    tokenizer = tiny_tokenizer()
    encoder = make_encoder(P2P().guard(Generation(malicious="0.1", answer_prefix="Answer:"), 0), tokenizer)
    model = GuardedWriter(encoder, Scripted(tokenizer, escapes=False))
    test = table_of([f"problem {i}" for i in range(8)], ["7"] * 8)
    [attack] = evaluate(model, test, [ProAttack()], quiet=True)[0].attacks
    assert attack.accuracy_clean.value == 1.0
