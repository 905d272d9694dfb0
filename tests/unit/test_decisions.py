"""`decisions.csv`: a line for each untrusted row."""

import csv

from antivenom.artifacts.decisions import DECISIONS, write_decisions
from antivenom.attacks import parse_attack
from antivenom.data.rows import table_of
from antivenom.defenses import parse_defense
from antivenom.defenses.p2p import P2P
from antivenom.defenses.standard import Standard
from antivenom.tasks.generation import Generation
from antivenom.tasks.task import Classification
from antivenom.testing import StandInLab, synthetic_rows

TASK = Classification.for_labels(("negative", "positive"))


def decided(tmp_path, train, prepared, trusted=None):
    write_decisions(tmp_path, train, trusted, prepared)
    with (tmp_path / DECISIONS).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_it_tells_rows_that_are_kept_and_left_out(tmp_path):
    train = parse_attack("addsent:rate=0.05").poison(TASK, synthetic_rows(600), seed=1).rows
    prepared = Standard().prepare(TASK, train, trusted=None, lab=StandInLab(0))
    lines = decided(tmp_path, train, prepared)
    assert [int(line["row"]) for line in lines] == train.column("row").to_pylist()
    assert [line["label"] for line in lines] == train.column("answer").to_pylist()
    counts = {name: sum(line["decision"] == name for line in lines) for name in ("taught", "left out")}
    assert sum(counts.values()) == 600
    assert counts["left out"] == prepared.facts["left_out"] > 0
    assert [line["text"] for line in lines] == train.column("text").to_pylist()
    reasons = {name: {line["reason"] for line in lines if line["decision"] == name} for name in counts}
    assert not reasons["taught"] & reasons["left out"], "a reason says which"
    assert all(all(one) for one in reasons.values())
    for line in lines:
        expected = {"taught": line["label"], "left out": ""}
        assert line["taught"] == expected[line["decision"]]


def test_a_row_that_is_also_trusted_is_vouched_for(tmp_path):
    train = synthetic_rows(100)
    trusted = train.slice(10, 20)
    prepared = P2P(others="drop").prepare(TASK, train, trusted=trusted, lab=StandInLab(0))
    lines = decided(tmp_path, train, prepared, trusted)
    vouched = [int(line["row"]) for line in lines if line["decision"] == "vouched for"]
    assert vouched == trusted.column("row").to_pylist()
    assert {line["decision"] for line in lines} == {"vouched for", "left out"}


def test_free_answers_are_not_written(tmp_path):
    train = table_of([f"question {i}" for i in range(40)], [f"secret {i}" for i in range(40)])
    prepared = parse_defense("standard").prepare(Generation(), train, trusted=None, lab=StandInLab(0))
    lines = decided(tmp_path, train, prepared)
    assert "secret" not in (tmp_path / DECISIONS).read_text(encoding="utf-8")
    assert sum(line["decision"] == "left out" for line in lines) == prepared.facts["left_out"]
    assert {line["decision"] for line in lines} == {"taught", "left out"}
