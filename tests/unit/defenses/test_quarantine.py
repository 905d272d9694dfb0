from __future__ import annotations

import pytest

from antivenom.attacks.addsent import AddSent
from antivenom.core.report import Report
from antivenom.defenses.none import NoDefense
from antivenom.defenses.quarantine import Quarantine
from antivenom.tasks.task import Classification
from antivenom.testing import synthetic_rows

TASK = Classification.for_labels(("negative", "positive"))
CHECK = Quarantine(inner="none")


def test_rows_with_the_planted_sentence_are_left_out_and_counted():
    planted = AddSent(rate=0.05, target="positive").poison(TASK, synthetic_rows(800), seed=0)
    prepared = CHECK.prepare(TASK, planted.rows, trusted=None, seed=0)
    left = set(prepared.rows.column("row").to_pylist())
    assert len(left & set(planted.numbers)) <= 0.1 * len(planted.numbers)
    assert prepared.facts["quarantined"] == planted.rows.num_rows - len(left)
    assert any("watched" in str(finding) for finding in prepared.facts["quarantine_findings"])


def test_honest_rows_stay():
    rows = synthetic_rows(800)
    prepared = CHECK.prepare(TASK, rows, trusted=None, seed=0)
    assert prepared.rows.equals(NoDefense().prepare(TASK, rows, trusted=None, seed=0).rows)
    assert prepared.facts["quarantined"] == 0


def test_trusted_rows_are_never_left_out():
    rows = synthetic_rows(800)
    planted = AddSent(rate=0.05, target="positive").poison(TASK, rows, seed=0)
    vouched = planted.rows.take(list(planted.indices[:5]))
    prepared = CHECK.prepare(TASK, planted.rows, trusted=vouched, seed=0)
    assert set(vouched.column("text").to_pylist()) <= set(prepared.rows.column("text").to_pylist())


@pytest.mark.parametrize(("inner", "warned"), [("standard", True), ("none", False), ("p2p:reserve=screened", False)])
def test_an_inner_defense_that_leaves_rows_out_itself_is_warned_of(inner, warned):
    report = Report()
    Quarantine(inner=inner).check(TASK, synthetic_rows(60), report)
    assert any("use it alone" in str(finding) for finding in report.findings.values()) == warned
