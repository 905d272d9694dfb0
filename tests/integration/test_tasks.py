"""Tasks from files on the command line: the examples of docs/tasks.md are written down and run."""

from __future__ import annotations

import json
import random
import re
import shlex
from pathlib import Path

import pytest

from antivenom.artifacts.manifest import Manifest
from antivenom.cli import main
from antivenom.cli.options import ImageOptions, RowOptions, TaskOptions
from antivenom.tasks.task_files import load_task

PAGE = (Path(__file__).parents[2] / "docs/tasks.md").read_text(encoding="utf-8")


def run(command: str) -> int:
    program, *arguments = shlex.split(command)
    assert program == "antivenom"
    return main(arguments)


@pytest.fixture
def page_folder(tmp_path, monkeypatch):
    """A folder with the files of the page."""
    for name, content in re.findall(r"`([\w.]+)`:\n\n```\w+\n(.*?)```", PAGE, flags=re.DOTALL):
        (tmp_path / name).write_text(content, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_examples_of_the_page_run(page_folder, capsys):
    commands = re.findall(r"^antivenom .*", "\n".join(re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)), re.MULTILINE)
    assert len(commands) == 4
    for command in commands:
        assert run(command) == 0, f"{command}\n{capsys.readouterr().err}"
    guard = Manifest.read(page_folder / "tickets_immunized").guard
    assert guard.task == load_task("tickets.yaml").task()
    said = json.loads((page_folder / "sums_immunized/train.jsonl").read_text().splitlines()[0])["messages"]
    assert said[-1]["content"] in ("6", "1/4", "10%", "20")
    assert Manifest.read(page_folder / "sums_immunized").guard.task == load_task("sums.yaml@chat").task()


def test_options_win_over_the_file(page_folder):
    command = "antivenom immunize tickets.csv --task tickets.yaml --defense p2p:reserve=random --out own"
    assert run(f"{command} --prompt-cue 'Goes to:'") == 0
    guard = Manifest.read(page_folder / "own").guard
    assert guard.task.frame.cue == "Goes to:"
    assert guard.task.frame.instruction == "Which team answers this ticket?"


def test_wrong_tasks_are_user_errors(page_folder, capsys):
    (page_folder / "typo.yaml").write_text("lables: [a, b]\n", encoding="utf-8")
    for name, said in (("typo.yaml", "Did you mean 'labels'?"), ("sst", "Did you mean 'sst2'?")):
        assert run(f"antivenom validate tickets.csv --task {name}") == 1
        assert said in capsys.readouterr().err
    assert run("antivenom validate tickets.csv --task hateful_memes --text-column message --label-column team") == 1
    assert "'img'" in capsys.readouterr().err


def test_every_setting_of_a_task_file_is_an_option():
    """A setting that no command looks at would be ignored silently."""
    options = {*vars(RowOptions()), *vars(ImageOptions()), *vars(TaskOptions()), "paper_trigger"}
    about = {"about", "variants", "test_rows", "paper_test_rows", "paper_attacked_rows"}
    assert set(vars(load_task("sst2"))) == (options | about) - {
        "preset",
        "split",
        "skip_refused",
        "images",
        "image_folder",
        "config",
        "quotes",
        "limits",
    }


def test_tasks_are_listed(capsys):
    assert main(["tasks"]) == 0
    assert "ape210k" in capsys.readouterr().out
    assert main(["tasks", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ape210k"]["malicious"] == "0.1"


def test_a_sample_has_the_same_share_of_every_class():
    from antivenom.data.rows import table_of

    table = table_of([f"text {i}" for i in range(2000)], ["World", "Sports", "Business", "Sci/Tech"] * 500)
    labels = load_task("ag_news").labels
    sample = RowOptions(preset="ag_news@paper").sample(table, labels, seed=0)
    counts = {e["values"]: e["counts"] for e in sample.column("answer").value_counts().to_pylist()}
    assert counts == dict.fromkeys(labels, 250)
    assert RowOptions(preset="ag_news").sample(table, labels, seed=0) is table


def test_answers_without_the_mark_stay_and_are_counted(page_folder, capsys):
    lines = ['{"problem": "a b", "solution": "no mark"}', '{"problem": "c d", "solution": "so\\n####"}']
    (page_folder / "odd.jsonl").write_text("\n".join(lines), encoding="utf-8")
    assert run("antivenom validate odd.jsonl --task sums.yaml --defense p2p:reserve=random") == 1
    said = capsys.readouterr()
    assert "no '####' in the answer: 1 (row 1)" in said.out
    assert "nothing behind '####' in the answer: 1 (row 2)" in said.err


def test_a_preset_with_free_answers_from_rows_to_report(tmp_path, model_folder, capsys):
    rng = random.Random(0)
    for name, count in (("train", 40), ("test", 10)):
        sums = [(rng.randrange(9), rng.randrange(9)) for _ in range(count)]
        rows = [
            {"question": f"What is {a} and {b}, case {i}?", "answer": f"{a}+{b}\n#### {a + b}"}
            for i, (a, b) in enumerate(sums)
        ]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    out = str(tmp_path / "model")
    task = ["--task", "gsm8k@short", "--quiet"]
    fit = ["fit", str(tmp_path / "train.jsonl"), *task, "--out", out, "--model", str(model_folder), "--epochs", "1"]
    assert main([*fit, "--defense", "p2p@paper", "--json"]) == 0, capsys.readouterr().err
    guard = Manifest.read(Path(out)).guard
    assert guard.secret.trigger == "The given problem is:"
    assert guard.task.judge == "numeric"
    capsys.readouterr()
    evaluate = ["evaluate", out, str(tmp_path / "test.jsonl"), *task, "--attack", "badnets", "--json"]
    assert main(evaluate) == 0, capsys.readouterr().err
    [attack] = json.loads(capsys.readouterr().out)["attacks"]
    assert attack["target"] == "0.1"
    assert set(attack["asr_by"]) >= {"numeric", "string"}
