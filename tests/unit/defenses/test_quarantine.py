from __future__ import annotations

import pytest

from antivenom.attacks.addsent import AddSent
from antivenom.core.report import Report
from antivenom.defenses import parse_defense
from antivenom.defenses.none import NoDefense
from antivenom.defenses.quarantine import Quarantine
from antivenom.tasks.task import Classification
from antivenom.testing import StandInLab, synthetic_rows

TASK = Classification.for_labels(("negative", "positive"))
CHECK = Quarantine()


def test_rows_with_the_planted_sentence_are_left_out_and_counted():
    planted = AddSent(rate=0.05, target="positive").poison(TASK, synthetic_rows(800), seed=0)
    prepared = CHECK.prepare(TASK, planted.rows, trusted=None, lab=StandInLab(0))
    left = set(prepared.rows.column("row").to_pylist())
    assert len(left & set(planted.numbers)) <= 0.1 * len(planted.numbers)
    assert prepared.facts["left_out"] == planted.rows.num_rows - len(left)
    assert any("watched" in str(finding) for finding in prepared.facts["findings"])


def test_honest_rows_stay():
    rows = synthetic_rows(800)
    prepared = CHECK.prepare(TASK, rows, trusted=None, lab=StandInLab(0))
    assert prepared.rows.equals(NoDefense().prepare(TASK, rows, trusted=None, lab=StandInLab(0)).rows)
    assert prepared.facts["left_out"] == 0


def test_trusted_rows_are_never_left_out():
    rows = synthetic_rows(800)
    planted = AddSent(rate=0.05, target="positive").poison(TASK, rows, seed=0)
    vouched = planted.rows.take(list(planted.indices[:5]))
    prepared = CHECK.prepare(TASK, planted.rows, trusted=vouched, lab=StandInLab(0))
    assert set(vouched.column("text").to_pylist()) <= set(prepared.rows.column("text").to_pylist())


@pytest.mark.parametrize(("behind", "warned"), [("standard", True), ("none", False), ("p2p:reserve=screened", False)])
def test_a_defense_behind_it_that_leaves_rows_out_itself_is_warned_of(behind, warned):
    report = Report()
    parse_defense(f"quarantine+{behind}").check(TASK, synthetic_rows(60), report)
    assert bool(report.findings) == warned
