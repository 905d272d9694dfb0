"""What each command does, called from Python: the same results, typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import antivenom as av
from antivenom.defenses import parse_defense
from antivenom.testing import synthetic_rows

QUICK = av.TrainingOptions(learning_rate=2e-3, epochs=1)


def test_immunize_writes_what_finish_binds(task, rows, tmp_path):
    out = tmp_path / "rows"
    done = av.immunize(task, rows, out=out, defense=av.P2P(reserve="random"), trainer="trl", seed=5)
    lines = done.path.read_text(encoding="utf-8").splitlines()
    assert len(lines) == done.rows > rows.num_rows
    assert set(json.loads(lines[0])) == {"prompt", "completion"}
    manifest = av.load_artifact(out).manifest
    assert (manifest.guard, manifest.seed, manifest.data["prepared_sha256"]) == (done.guard, 5, done.sha256)
    assert done.settings == out / "trl.yaml"
    assert (out / "decisions.csv").exists()


def test_immunize_refuses_a_task_in_another_style_and_leaves_nothing(task, rows, tmp_path):
    with pytest.raises(av.AntivenomError, match="chat"):
        av.immunize(task, rows, out=tmp_path / "rows", form="messages")
    assert not (tmp_path / "rows").exists()
    chat = av.Classification.for_labels(task.classes, frame=av.Frame(style="chat"))
    done = av.immunize(chat, rows, out=tmp_path / "rows", form="messages", defense=av.NoDefense())
    assert set(json.loads(done.path.read_text(encoding="utf-8").splitlines()[0])) == {"messages"}


@pytest.mark.parametrize("spec", ["dece", "crow", "quarantine+crow"])
def test_immunize_refuses_a_defense_that_another_trainer_would_leave_out(task, rows, tmp_path, spec):
    with pytest.raises(av.AntivenomError, match="antivenom fit"):
        av.immunize(task, rows, out=tmp_path / "rows", defense=parse_defense(spec), trusted=rows.slice(0, 40))
    assert not (tmp_path / "rows").exists()


def test_a_seed_that_is_not_given_is_drawn_and_recorded(task, rows, tmp_path):
    seeds = [av.immunize(task, rows, out=tmp_path / str(n), defense=av.NoDefense()).seed for n in range(2)]
    assert seeds[0] != seeds[1]


def test_check_is_the_command(task, rows, model_folder, tmp_path):
    canaries = av.CanaryCheck(families=("word",), max_excess=1.0, max_accuracy_drop=1.0)
    given = {"canaries": canaries, "defense": av.NoDefense(), "model": str(model_folder), "options": QUICK}
    found = av.check(task, rows, out=tmp_path / "c", quiet=True, **given)
    assert [one.family for one in found.results] == ["word"]
    assert found.control.clean.accuracy.total == 40, "a fifth is held out"
    again = av.check(task, rows, out=tmp_path / "c", quiet=True, **given)
    assert again.to_dict() == found.to_dict(), "its fits are used again, with the seed that was drawn"


def test_compare_writes_records_and_a_summary(task, model_folder, tmp_path):
    rows = synthetic_rows(120)
    told = []
    found = av.compare(
        task,
        rows.slice(0, 80),
        rows.slice(80),
        out=tmp_path / "c",
        attacks=[av.BadNets(rate=0.2)],
        defenses=[av.NoDefense()],
        model=str(model_folder),
        options=QUICK,
        seeds=(0, 1),
        quiet=True,
        measured=lambda attack, outcomes: told.append((attack, list(outcomes))),
    )
    assert told == [(av.BadNets(rate=0.2), [0, 1])]
    [line] = found.summary()
    assert line.seeds == (0, 1)
    assert {path.name for path in Path(tmp_path / "c").iterdir()} >= {"record.json", "summary.csv", "seed-0", "seed-1"}
    assert len(json.loads((tmp_path / "c" / "record.json").read_text())["runs"]) == len(found.records) == 2
    assert {record["command"] for record in found.records} == {""}, "what this process was started with is its own"
