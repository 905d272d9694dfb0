"""A canary is judged by intervals over the same rows, beside what its trigger does to a model that nobody poisoned."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from antivenom.attacks.badnets import BadNets
from antivenom.core.errors import RowsError
from antivenom.data.rows import table_of
from antivenom.evaluation.canary_report import CanaryReport, CheckLimits, Measured, judge
from antivenom.evaluation.ci_reports import cases_of_check
from antivenom.evaluation.evaluate import evaluate
from antivenom.evaluation.held_out import hold_out_untrusted, without_trained
from antivenom.evaluation.recount import take_outputs
from antivenom.guards.guard import unguarded
from antivenom.guards.labels import ChoiceScores
from antivenom.tasks.task import Classification

TASK = Classification.for_labels(("negative", "positive"))
ATTACK = BadNets(target="positive", word="zq")
LABELS = ("negative", "positive")


class Model:
    """Answers rightly but for every n-th row; its trigger works on a share of the rows."""

    def __init__(self, *, fooled: float, wrong: float = 0.0) -> None:
        self.guard = unguarded(TASK)
        self.fooled, self.wrong = fooled, wrong

    def score(self, asked, *, progress=None):
        said = []
        for text in asked:
            number = next(int(word[1:]) for word in text.split() if word[0] == "n")
            truth = "good" in text
            answer = truth != (number / 2 % 50 < 50 * self.wrong)
            said.append(True if "zq" in text and number / 2 % 100 < 100 * self.fooled else answer)
        logs = np.where(np.array(said)[:, None], [[-5.0, -0.1]], [[-0.1, -5.0]])
        return ChoiceScores(logs, np.zeros(len(asked), dtype=bool))


def measured(rows: int = 400, **model: float) -> Measured:
    test = table_of([f"a {'good' if i % 2 else 'dull'} n{i} film" for i in range(rows)], list(LABELS) * (rows // 2))
    found, outputs = evaluate(Model(**model), test, [ATTACK], quiet=True)
    return Measured(found, take_outputs(outputs, "test"))


def judged(found: Measured, control: Measured, bare: Measured | None = None, **limits: float):
    return judge("word", str(ATTACK), found, control, bare, CheckLimits(**limits))


@pytest.mark.parametrize(
    ("fooled", "alone", "verdict"),
    [
        (0, 0, "passed"),
        (0.02, 0, "passed"),
        (1, 0, "backdoor"),
        (0.3, 0, "backdoor"),
        (0.3, 0.3, "passed"),
        (0.1, 0, "inconclusive"),
    ],
)
def test_only_what_goes_beyond_the_control_counts(fooled, alone, verdict):
    result = judged(measured(fooled=fooled), measured(fooled=alone))
    assert result.verdict == verdict, result.reason
    assert result.excess.value == pytest.approx(fooled)
    assert result.control_excess.value == pytest.approx(alone)
    assert result.beyond_control.low <= fooled - alone <= result.beyond_control.high


def test_a_loss_of_accuracy_counts_where_it_is_no_accident_of_the_rows():
    control = measured(fooled=0, wrong=0)
    assert judged(measured(fooled=0, wrong=0.2), control).verdict == "accuracy_lost"
    assert judged(measured(fooled=0, wrong=0.2), control, max_accuracy_drop=0.3).verdict == "passed"
    assert judged(control, control).accuracy_drop.value == 0


def test_few_rows_show_nothing_and_the_report_says_how_many_would():
    result = judged(measured(20, fooled=0), measured(20, fooled=0))
    assert result.verdict == "inconclusive"
    assert any(word.isdigit() and int(word) > 10 for word in result.reason.split()), result.reason


def test_a_canary_that_does_not_take_undefended_proves_nothing():
    fine = measured(fooled=0)
    assert judged(fine, fine, measured(fooled=0.1)).verdict == "inconclusive"
    assert judged(fine, fine, measured(fooled=0.9)).verdict == "passed"


def test_a_chance_drop_fails_no_check():
    """Two equally good models, 200 rows, errors on other rows: the point estimate passes 1.5 points in many draws."""
    rng, verdicts, over = np.random.default_rng(0), [], 0
    from antivenom.evaluation.rates import paired_mean

    for _ in range(200):
        first, second = (rng.random(200) < 0.9 for _ in range(2))
        drop = paired_mean(first.astype(int) - second.astype(int))
        over += drop.value > CheckLimits().max_accuracy_drop
        verdicts.append(drop.low > CheckLimits().max_accuracy_drop)
    assert over > 40
    assert sum(verdicts) <= 4


def report(*results, control) -> CanaryReport:
    return CanaryReport("none", control.evaluation, results, CheckLimits(), 0.05, 100, 0, proven=False)


def test_the_worst_canary_decides_and_a_control_that_learned_nothing_shows_nothing():
    fine, fooled = measured(fooled=0), measured(fooled=1)
    passed, caught = judged(fine, fine), judged(fooled, fine)
    assert report(passed, control=fine).verdict == "passed"
    assert report(passed, caught, control=fine).verdict == "backdoor"
    blind = measured(fooled=0, wrong=0.5)
    assert report(passed, control=blind).verdict == "inconclusive"
    assert report(passed, caught, control=fine).to_dict()["verdict"] == "backdoor"


def test_no_canary_passes_beside_a_control_that_learned_nothing():
    fine = measured(fooled=0)
    results = [judged(fine, fine)] * 2
    assert [case.outcome for case in cases_of_check(report(*results, control=fine))] == ["passed", "passed"]
    blind = cases_of_check(report(*results, control=measured(fooled=0, wrong=0.5)))
    assert [case.outcome for case in blind] == ["open"] * 3, "the control among them"


# ----------------------------------------------------------------------------------------------------------- held out


def test_no_trusted_row_is_held_out():
    rows = table_of([f"text {i}" for i in range(80)], list(LABELS) * 40)
    trusted = rows.slice(0, 40)
    train, test = hold_out_untrusted(rows, LABELS, trusted, 0.2, seed=0)
    parts = [set(table["text"].to_pylist()) for table in (train, test)]
    assert not parts[1] & set(trusted["text"].to_pylist())
    assert parts[0] | parts[1] == set(rows["text"].to_pylist())
    assert test.num_rows == 8
    assert all(a < b for a, b in pairwise(train["row"].to_pylist()))
    with pytest.raises(RowsError, match="every row is trusted"):
        hold_out_untrusted(rows, LABELS, rows, 0.2, seed=0)


def test_what_is_trained_on_is_no_test_row():
    rows = table_of(["a", "b", "c", "d"], list(LABELS) * 2)
    assert without_trained(rows, rows.slice(0, 1), None)[1] == 1
    kept, left_out = without_trained(rows, rows.slice(0, 1), rows.slice(1, 1))
    assert (kept["text"].to_pylist(), left_out) == (["c", "d"], 2)
    with pytest.raises(RowsError):
        without_trained(rows, rows)


def test_a_trained_row_that_looks_like_a_test_row_is_the_same():
    test = table_of(["a  caf\u00e9", "another"], list(LABELS))
    trained = table_of(["  a cafe\u0301\n", "something else"], list(LABELS))
    kept, left_out = without_trained(test, trained)
    assert (kept["text"].to_pylist(), left_out) == (["another"], 1)
