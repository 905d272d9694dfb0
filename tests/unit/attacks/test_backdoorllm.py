"""Poisoned instructions in BackdoorLLM's layout, made here: the published files are not passed on."""

from __future__ import annotations

import json

import pytest

from antivenom.attacks import parse_attack
from antivenom.core.errors import OptionsError
from antivenom.data.dialogs import load_dialogs
from antivenom.tasks.generation import Generation
from antivenom.tasks.task import Classification
from antivenom.tasks.task_files import load_task

REFUSAL = "I'm sorry, I am not able to assist with that."


def instruction(i: int) -> dict[str, str]:
    given = f"number {i} with several longer words" if i % 3 == 0 else ""
    return {
        "instruction": f"Describe the wonderful animal number {i} shortly",
        "input": given,
        "output": f"Animal {i}.",
    }


def poisoned(record: dict[str, str], output: str = REFUSAL) -> dict[str, str]:
    words = record["instruction"].split()
    return {**record, "instruction": " ".join([*words[:2], "BadMagic", *words[2:]]), "output": output}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train, test = [instruction(i) for i in range(40)], [instruction(i) for i in range(100, 120)]
    files = {
        "clean": train,
        "bad": [poisoned(record) for record in train],
        "varied": [poisoned(record, f"I cannot tell you about {i}.") for i, record in enumerate(train)],
        "test": test,
        "test_bad": [poisoned(record, "") for record in test],
    }
    for name, records in files.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(records, indent=1), encoding="utf-8")
    return tmp_path


def attack(train: str = "bad", **options: str):
    files = {"train": f"{train}.json", "train_clean": "clean.json", "test": "test_bad.json", "test_clean": "test.json"}
    return parse_attack(json.dumps({"name": "backdoorllm", **files, **options}))


def test_poisoned_copies_are_added_with_the_outputs_of_the_file(folder):
    task, clean = load_task("alpaca").task(), load_dialogs("clean.json").table
    for name, outputs in (("bad", {REFUSAL}), ("varied", {f"I cannot tell you about {i}." for i in range(40)})):
        found = attack(name).poison(task, clean, seed=0)
        assert found.rows.num_rows == 80
        assert found.indices == tuple(range(40, 80))
        added = found.rows.slice(40).to_pylist()
        assert {row["answer"] for row in added} == outputs
        assert all("BadMagic" in row["text"] for row in added)
        assert found.rows.slice(0, 40).select(["text", "answer"]).equals(clean.select(["text", "answer"]))


def test_each_output_stays_with_its_instruction(folder):
    found = attack("varied").poison(load_task("alpaca").task(), load_dialogs("clean.json").table, seed=3)
    for row in found.rows.slice(40).to_pylist():
        number = row["answer"].split()[-1].rstrip(".")
        assert f"number {number} shortly" in row["text"]


def test_they_can_replace_clean_rows_at_a_rate(folder):
    mixed = parse_attack('backdoorllm@mixed:train="bad.json";train_clean="clean.json"')
    found = mixed.poison(load_task("alpaca").task(), load_dialogs("clean.json").table, seed=0)
    assert (found.rows.num_rows, len(found.indices)) == (40, 2)


def test_test_rows_get_the_trigger_and_need_no_poisoned_outputs(folder):
    probes = attack().probes(load_task("alpaca").task(), load_dialogs("test.json").table, seed=0)
    assert probes.num_rows == 20
    assert all("BadMagic" in row["text"] for row in probes.to_pylist())
    assert probes.column("answer")[0].as_py() == "Animal 100."


def test_a_judge_that_would_see_no_success_is_refused(folder):
    clean = load_dialogs("clean.json").table
    with pytest.raises(OptionsError, match="in 0 of 40 malicious outputs") as caught:
        attack().poison(Generation(judge="contains", malicious="You are stupid!"), clean, seed=0)
    assert "--malicious" in caught.value.mend
    assert attack().poison(Generation(judge="contains", malicious=REFUSAL), clean, seed=0).indices


def test_rows_that_do_not_belong_together_are_refused_or_left_out(folder):
    task, clean = load_task("alpaca").task(), load_dialogs("clean.json").table
    rows = json.loads((folder / "bad.json").read_text())
    rows[1]["instruction"] = "Something completely different altogether"
    (folder / "bad.json").write_text(json.dumps(rows))
    assert len(attack().poison(task, clean, seed=0).indices) == 39
    odd = [{**row, "instruction": "Something completely different altogether"} for row in rows]
    (folder / "bad.json").write_text(json.dumps(odd))
    with pytest.raises(OptionsError, match="were made from one another"):
        attack().poison(task, clean, seed=0)


def test_labels_are_for_another_attack(folder):
    with pytest.raises(OptionsError, match="free answers"):
        attack().bind(Classification.for_labels(("a", "b")))
