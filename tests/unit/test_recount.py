"""Stored outputs: read again without the model, strictly, and compared row by row."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from antivenom.attacks import attacks
from antivenom.attacks.addsent import AddSent
from antivenom.attacks.badnets import BadNets
from antivenom.attacks.cba import Cba
from antivenom.attacks.leaked_trigger import LeakedTrigger
from antivenom.attacks.mtba import Mtba
from antivenom.core.errors import RowsError
from antivenom.defenses.none import NoDefense
from antivenom.defenses.p2p import P2P
from antivenom.evaluation.evaluate import FACTS, evaluate, write_outputs
from antivenom.evaluation.rates import mcnemar
from antivenom.evaluation.recount import contrast, read_outputs, take_outputs
from antivenom.tasks.task import Classification
from antivenom.testing import LinearStandIn, StandInLab, synthetic_rows

TASK = Classification.for_labels(("negative", "positive"))
TEST = synthetic_rows(60, seed=1)
ATTACK = AddSent(rate=0.1, target="positive")


def model(defense):
    rows = ATTACK.poison(TASK, synthetic_rows(200), seed=0).rows
    return LinearStandIn.of(defense.prepare(TASK, rows, trusted=None, lab=StandInLab(0)), steps=100)


@pytest.fixture(scope="module")
def stored():
    """The evaluation and outputs of an undefended and a defended model."""
    tried = [ATTACK, Mtba(target="positive"), Cba(target="positive")]
    found = {}
    for name, defense in (("none", NoDefense()), ("p2p", P2P(reserve="random", ratio=0.5))):
        found[name] = evaluate(model(defense), TEST, tried, quiet=True, provenance={"artifact": name})
    return found


@pytest.mark.parametrize("name", ["none", "p2p"])
def test_a_file_of_outputs_gives_the_same_evaluation(stored, name, tmp_path):
    evaluation, outputs = stored[name]
    write_outputs(tmp_path / "o.parquet", outputs)
    again = read_outputs(tmp_path / "o.parquet")
    assert again.evaluation() == evaluation
    assert "query currently" not in json.dumps(again.reading.to_dict()) + json.dumps(again.provenance)


def test_the_mean_over_triggers_stands_beside_each(stored):
    evaluation, _ = stored["none"]
    [mean] = evaluation.averages
    single = [reading for reading in evaluation.attacks if "probe_only" in reading.attack]
    assert mean.triggers == len(single) == 3
    assert mean.asr == pytest.approx(np.mean([reading.asr.value for reading in single]))
    assert mean.excess == pytest.approx(np.mean([reading.excess for reading in single]))


@pytest.mark.parametrize("attack", [cls() for cls in attacks().values()], ids=str)
def test_averaged_variants_are_variants(attack):
    assert set(attack.averaged()) <= set(attack.variants())


def test_a_wrapped_attack_is_averaged_as_its_inner_one():
    attack = LeakedTrigger(inner="mtba")
    assert len(attack.averaged()) == 3
    assert set(attack.averaged()) <= set(attack.variants())


def test_two_models_are_compared_on_the_same_rows(stored):
    first, second = (take_outputs(stored[name][1], name) for name in ("none", "p2p"))
    found = {one.condition: one for one in contrast(first, second)}
    clean, attack = found["clean"], found[str(ATTACK)]
    assert (clean.outcome, attack.outcome) == ("right answer", "attack success")
    for name, one in (("none", "first"), ("p2p", "second")):
        evaluation = stored[name][0]
        assert getattr(clean, one) == evaluation.clean.accuracy
        assert getattr(attack, one) == evaluation.attacks[0].asr_deployed
    split = attack.pairing.only_second - attack.pairing.only_first
    assert split / attack.first.total == pytest.approx(attack.difference)
    back = {one.condition: one for one in contrast(second, first)}
    assert back["clean"].pairing.p_value == clean.pairing.p_value
    assert back["clean"].difference == -clean.difference


def test_mcnemar_counts_the_rows_where_two_differ():
    first, second = np.array([True] * 8 + [False] * 12), np.array([False] * 8 + [True] + [False] * 11)
    found = mcnemar(first, second)
    assert (found.only_first, found.only_second) == (8, 1)
    assert found.p_value == pytest.approx(2 * (1 + 9) / 2**9)  # binomial(9, 1/2): at most 1, twice
    assert mcnemar(first, first).p_value == 1.0


def test_other_rows_are_not_compared(stored):
    first = take_outputs(stored["none"][1], "none")
    less = evaluate(model(NoDefense()), TEST.slice(0, 50), [BadNets(target="positive")], quiet=True)[1]
    with pytest.raises(RowsError, match="different test rows"):
        contrast(first, take_outputs(less, "less"))
    moved = first._replace(table=first.table.take(list(reversed(range(first.table.num_rows)))))
    with pytest.raises(RowsError, match="different rows"):
        contrast(first, moved)
    one = first._replace(table=first.table.filter(pc.equal(first.table["condition"], "clean")))
    attacked = first._replace(table=first.table.filter(pc.not_equal(first.table["condition"], "clean")))
    with pytest.raises(RowsError, match="no condition in common"):
        contrast(one, attacked)


def changed(table: pa.Table, **columns) -> pa.Table:
    for name, values in columns.items():
        field = table.schema.field(name)
        table = table.set_column(table.schema.get_field_index(name), field, pa.array(values, field.type))
    return table


def bad_tables(outputs: pa.Table) -> dict[str, pa.Table]:
    """Files that would give wrong numbers, or crash."""
    count = outputs.num_rows
    scores = outputs["log_probabilities"].to_pylist()
    facts = json.loads(outputs.schema.metadata[FACTS.encode()])
    narrow = {**facts, "labels": {**facts["labels"], "allowed": [0]}}
    return {
        "no metadata": outputs.replace_schema_metadata(None),
        "no JSON": outputs.replace_schema_metadata({FACTS: "{"}),
        "a list": outputs.replace_schema_metadata({FACTS: "[]"}),
        "a wrong map": outputs.replace_schema_metadata({FACTS: json.dumps(narrow)}),
        "no scores": outputs.drop_columns(["log_probabilities"]),
        "nulls": changed(outputs, answer=[None, *outputs["answer"].to_pylist()[1:]]),
        "few scores": changed(outputs, log_probabilities=[row[:-1] for row in scores]),
        "NaN": changed(outputs, log_probabilities=[[float("nan")] * len(scores[0]), *scores[1:]]),
        "above 0": changed(outputs, log_probabilities=[[1.0] * len(scores[0]), *scores[1:]]),
        "unknown label": changed(outputs, answer=["x"] * count),
        "unknown target": changed(outputs, target=["x"] * count),
        "no clean rows": outputs.filter(pc.not_equal(outputs["condition"], "clean")),
        "no twin": changed(outputs, twin=["nowhere" if twin else "" for twin in outputs["twin"].to_pylist()]),
        "far away": changed(outputs, position=[10**6] * count),
        "mixed": changed(outputs, target=["positive", *outputs["target"].to_pylist()[1:]]),
        "empty": outputs.slice(0, 0),
    }


CASES = (
    "no metadata",
    "no JSON",
    "a list",
    "a wrong map",
    "no scores",
    "nulls",
    "few scores",
    "NaN",
    "above 0",
    "unknown label",
    "unknown target",
    "no clean rows",
    "no twin",
    "far away",
    "mixed",
    "empty",
)


@pytest.mark.parametrize("case", CASES)
def test_a_file_that_does_not_fit_together_is_refused(stored, case, tmp_path):
    cases = bad_tables(stored["none"][1])
    assert tuple(cases) == CASES
    pq.write_table(cases[case], tmp_path / "o.parquet")
    with pytest.raises(RowsError):
        read_outputs(tmp_path / "o.parquet")


def test_a_file_that_is_no_parquet_is_refused(tmp_path):
    (tmp_path / "o.parquet").write_text("PAR1 nothing", encoding="utf-8")
    with pytest.raises(RowsError, match="Parquet"):
        read_outputs(tmp_path / "o.parquet")
    with pytest.raises(RowsError, match="there is no file"):
        read_outputs(tmp_path / "missing.parquet")
