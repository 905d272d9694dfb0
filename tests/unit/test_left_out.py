"""What a filter left out is set beside the truth wherever the truth is known."""

from __future__ import annotations

import json

import pytest

from antivenom.attacks import parse_attack
from antivenom.cli.tables import show_comparison
from antivenom.core.files import write_json
from antivenom.defenses import parse_defense
from antivenom.evaluation.comparison import fit_and_measure, make_scenario, record
from antivenom.evaluation.left_out import LeftOut
from antivenom.suites.record import Teaching
from antivenom.tasks.task import Classification
from antivenom.testing import synthetic_rows
from antivenom.training.lab import LocalLab
from antivenom.training.training_options import TrainingOptions

TASK = Classification.for_labels(("negative", "positive"))
RECIPE = TrainingOptions(rank=4, learning_rate=1e-2, batch_size=16, epochs=1)
SPECS = ("none", "low_loss:share=0.2", "pdb", "cube:min_samples=10+p2p:reserve=random", "onion+p2p:reserve=random")


@pytest.fixture(scope="module")
def compared(model_folder, tmp_path_factory):
    pytest.importorskip("sklearn")
    attack = parse_attack("addsent:rate=0.2;target=positive")
    train, test = synthetic_rows(80), synthetic_rows(16, seed=5)
    scenario = make_scenario(TASK, train, test, attack, trusted_share=0.2, seed=0)
    lab = LocalLab(str(model_folder), RECIPE, tmp_path_factory.mktemp("lab"), seed=1, quiet=True)
    return scenario, fit_and_measure(scenario, [parse_defense(spec) for spec in SPECS], lab)


def test_recall_and_precision_of_what_was_left_out():
    found = LeftOut(rows=10, found=4, poisoned=5)
    assert (found.recall.value, found.precision.value) == (0.8, 0.4)
    assert LeftOut(0, 0, 5).precision.value is None
    teaching = Teaching(poisoned=5, poison_taught=1, poison_corrected=1, honest=20, honest_lost=6, honest_changed=2)
    assert teaching.left_out == found


def test_a_comparison_counts_what_each_defense_left_out(compared):
    scenario, outcomes = compared
    left = {str(outcome.defense): outcome.left_out for outcome in outcomes}
    assert left["none"].rows == 0
    assert 0 < left["low_loss:share=0.2"].rows <= 16, "a fifth of all, but for trusted rows"
    numbers = set(scenario.train.column("row").to_pylist())
    assert all(one.poisoned == len(scenario.poisoned) == 16 for one in left.values())
    assert all(one.found <= min(one.rows, 16) <= len(numbers) for one in left.values())
    written = {
        str(o.defense): entry["left_out"]
        for o, entry in zip(outcomes, record(scenario, outcomes, {})["outcomes"], strict=True)
    }
    assert written["low_loss:share=0.2"]["recall"]["total"] == 16
    json.dumps(written)


def test_the_empty_measure_of_two_labels_is_said_and_rows_of_the_target_are_measured(compared, capsys):
    _, outcomes = compared
    attacks = {str(o.defense): [reading.attack for reading in o.evaluation.attacks] for o in outcomes}
    assert [len(found) for found in attacks.values()] == [1, 1, 2, 1, 1]
    pdb = next(o for o in outcomes if str(o.defense) == "pdb").evaluation
    assert pdb.attacks[1].accuracy.total == 8
    show_comparison("beside each other", outcomes)
    said = capsys.readouterr().out
    assert "robust accuracy" in said
    assert f"low_loss: {outcomes[1].left_out.rows} rows left out" in said
    assert "0 by construction" in said


def test_chains_are_fitted_and_guarded(compared, tmp_path):
    _, outcomes = compared
    cube, onion = outcomes[3], outcomes[4]
    assert cube.facts["chain"][1].startswith("p2p")
    assert "left_out" in cube.facts["cube"]
    manifest = json.loads((onion.folder / "antivenom.json").read_text())
    assert [step["name"] for step in manifest["guard"]["purifiers"]] == ["onion_texts"]
    assert manifest["guard"]["secret"]["trigger"]
    for outcome in (cube, onion):
        assert outcome.evaluation.clean.accuracy.total == 16
    write_json(tmp_path / "facts.json", cube.facts)
