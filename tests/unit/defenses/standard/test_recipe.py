"""The recipe `standard`: screen, ask a referee, train on nothing else."""

import numpy as np
import pytest

from antivenom.attacks import parse_attack
from antivenom.core.errors import OptionsError
from antivenom.data.digests import digest_of_table
from antivenom.data.rows import with_columns
from antivenom.defenses import parse_defense
from antivenom.defenses.none import NoDefense
from antivenom.defenses.standard.recipe import VERSION, Standard
from antivenom.evaluation.evaluate import evaluate
from antivenom.guards.answers import ordinary_answers
from antivenom.guards.guard import unguarded
from antivenom.tasks.task import Classification
from antivenom.testing import LinearStandIn, StandInLab, synthetic_rows

TASK = Classification.for_labels(("negative", "positive"))


def defend(table, trusted=None):
    return Standard().prepare(TASK, table, trusted=trusted, lab=StandInLab(0))


@pytest.mark.parametrize("attack", ["addsent:rate=0.05", "badnets:rate=0.1", "mtba:rate=0.1"])
def test_relabeled_rows_are_left_out(attack):
    poisoned = parse_attack(attack).poison(TASK, synthetic_rows(600), seed=1)
    prepared = defend(poisoned.rows)
    taken_in = set(prepared.rows.column("row").to_pylist()) & set(poisoned.numbers)
    assert len(taken_in) <= 2, "a row of three triggers or so, whichever the seed is"
    assert prepared.rows.num_rows > 0.55 * 600, "most honest rows stay"
    model = LinearStandIn.of(prepared)
    found, _ = evaluate(model, synthetic_rows(200, seed=9), [parse_attack(attack)], seed=1, quiet=True)
    assert all(reading.excess <= 0.05 for reading in found.attacks)
    plain = NoDefense().prepare(TASK, poisoned.rows, trusted=None, lab=StandInLab(0))
    bare = LinearStandIn.fit(plain.rows, plain.guard)
    taken, _ = evaluate(bare, synthetic_rows(200, seed=9), [parse_attack(attack)], seed=1, quiet=True)
    assert any(reading.excess > 0.5 for reading in taken.attacks), "undefended, the attack takes"


def test_every_row_carries_the_benign_trigger_and_every_row_is_accounted_for():
    table = synthetic_rows(300)
    prepared = defend(table)
    assert all(prepared.rows.column("benign").to_pylist())
    assert prepared.rows.num_rows + prepared.facts["left_out"] == 300 == prepared.training.instead_of
    assert prepared.facts["referee_accuracy"] > 0.9
    assert prepared.facts["recipe"] == f"standard-{VERSION}"
    assert prepared.facts["chosen"] <= prepared.facts["rows"] == prepared.rows.num_rows


def test_rows_that_are_vouched_for_are_never_left_out():
    trusted = synthetic_rows(50, seed=7)
    prepared = defend(synthetic_rows(200), trusted)
    assert set(trusted.column("text").to_pylist()) <= set(prepared.rows.column("text").to_pylist())


def test_no_model_is_fitted_for_it_and_the_texts_are_read_once():
    lab = StandInLab(0)
    Standard().prepare(TASK, synthetic_rows(200), trusted=None, lab=lab)
    assert not lab.fits
    assert len(lab.kept) == 1


def test_the_order_of_the_rows_does_not_matter():
    table = synthetic_rows(200)
    mixed = table.take(np.random.default_rng(0).permutation(200))
    assert digest_of_table(defend(mixed).rows.sort_by("row")) == digest_of_table(defend(table).rows.sort_by("row"))


def test_presets_of_the_paper_and_its_code():
    assert parse_defense("p2p@paper").reserve == "random"
    assert parse_defense("p2p@paper_code").cue == "split"


def test_no_referee_touches_rows_that_are_vouched_for():
    trusted = synthetic_rows(150, seed=7)
    wrong = {"negative": "positive", "positive": "negative"}
    trusted = with_columns(trusted, answer=[wrong[one] for one in trusted.column("answer").to_pylist()])
    prepared = defend(synthetic_rows(400), trusted)
    given = {row["text"]: row["answer"] for row in prepared.rows.to_pylist()}
    assert all(given[row["text"]] == row["answer"] for row in trusted.to_pylist())


def test_a_chain_prepares_with_each_part_in_turn():
    poisoned = parse_attack("addsent:rate=0.05").poison(TASK, synthetic_rows(600), seed=1)
    prepared = parse_defense("quarantine+standard").prepare(TASK, poisoned.rows, trusted=None, lab=StandInLab(0))
    assert prepared.facts["quarantine"]["left_out"] > 0
    assert prepared.facts["recipe"] == f"standard-{VERSION}"
    assert prepared.facts["chain"] == ["quarantine", "standard"]
    assert prepared.training.instead_of == poisoned.rows.num_rows


def test_without_a_model_the_reserve_is_all_that_is_kept():
    prepared = Standard().prepare(TASK, synthetic_rows(200), trusted=None, lab=StandInLab(0, has_model=False))
    assert prepared.rows.num_rows == 60
    assert "referee_accuracy" not in prepared.facts


@pytest.mark.parametrize("wrong", [{"least_rows": -1}, {"most_associated": 1}, {"refusal_limit": 0}])
def test_options_out_of_range_are_refused(wrong):
    with pytest.raises(OptionsError, match=next(iter(wrong))):
        Standard(**wrong)


@pytest.mark.parametrize("has_model", [True, False])
def test_the_controls_teach_the_same_rows_without_a_part_of_p2p(has_model):
    lab, rows = StandInLab(0, has_model=has_model), synthetic_rows(200)
    usual, identity, plain = (
        Standard(taught=taught).prepare(TASK, rows, trusted=None, lab=lab)
        for taught in ("p2p", "identity_labels", "plain")
    )
    kept = usual.rows.column("row").to_pylist()
    assert 0 < len(kept) < 200
    for control in (identity, plain):
        assert control.rows.select(["row", "text", "answer"]).equals(usual.rows.select(["row", "text", "answer"]))
        assert control.guard.answers == ordinary_answers(TASK)
        assert control.reasons.equals(usual.reasons)
        assert control.training == usual.training
    assert identity.guard.wrap("x") == usual.guard.wrap("x")
    assert plain.guard == unguarded(TASK)
    assert not any(plain.rows.column("benign").to_pylist())
