"""A trigger that is cut off with the end of a long text counts as lost; rates without such rows are shown too."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antivenom.attacks.addsent import AddSent
from antivenom.cli.tables import show_evaluation
from antivenom.core.report import Report
from antivenom.data.query import as_query
from antivenom.data.rows import table_of
from antivenom.evaluation.evaluate import evaluate
from antivenom.evaluation.metrics import has_collapsed
from antivenom.evaluation.rates import Rate, balanced_accuracy, paired_mean
from antivenom.evaluation.recount import take_outputs
from antivenom.evaluation.survival import survival
from antivenom.guards.guard import unguarded
from antivenom.guards.labels import ChoiceScores
from antivenom.guards.length import warn_of_long_texts
from antivenom.guards.rendering import Cut
from antivenom.tasks.task import Classification, Frame

letters = st.text("abcdef ", max_size=30)


@given(before=letters, after=letters, lost=st.integers(0, 90))
def test_what_is_left_of_an_inserted_trigger(before, after, lost):
    trigger = "XYZ"  # in no text, so that where it begins and ends is plain
    attacked = f"{before}{trigger}{after}"
    lost = min(lost, len(attacked))
    kept = attacked[: len(attacked) - lost]
    expected = "whole" if trigger in kept else "part" if "X" in kept else "none"
    assert survival(attacked, before + after, lost) == expected


def test_a_row_that_cannot_carry_the_trigger_loses_none():
    assert survival("the same text", "the same text", 5) == "whole"


class Short:
    """Reads the first 40 characters, and says positive where it finds the trigger there."""

    LIMIT = 40

    def __init__(self) -> None:
        self.guard = unguarded(Classification.for_labels(("negative", "positive")))

    def score(self, asked, *, progress=None):
        fooled = ["3D" in as_query(one).text[: self.LIMIT] for one in asked]
        logs = np.where(np.array(fooled)[:, None], [[-5.0, -0.1]], [[-0.1, -5.0]])
        return ChoiceScores(logs, np.zeros(len(asked), dtype=bool))

    def cuts(self, asked):
        return [Cut(0, max(0, len(as_query(one).text) - self.LIMIT)) for one in asked]


class Silent(Short):
    cuts = None  # a served model, say, which does not tell


def long_rows() -> pa.Table:
    texts = [f"{'word ' * (20 if i % 4 else 1)}{i}" for i in range(40)]
    return table_of(texts, ["negative", "positive"] * 20)


def test_the_rates_over_rows_that_kept_the_trigger_stand_beside_the_others(capsys):
    found, outputs = evaluate(Short(), long_rows(), [AddSent(target="positive")], quiet=True)
    [attack] = found.attacks
    read = attack.trigger_read
    assert read.whole + read.part + read.none == attack.asr.total == 20
    assert 0 < read.lost == read.part + read.none
    assert read.asr_deployed.value == 1.0 > attack.asr_deployed.value
    assert read.excess == 1.0
    assert found.clean.cut.hits == 30
    assert take_outputs(outputs, "x").evaluation() == found
    show_evaluation("title", found)
    printed = capsys.readouterr().out
    assert f"{read.lost} of 20 attacked rows" in printed
    assert "I watched this 3D movie" in printed
    assert "'positive'" in printed


def test_of_a_model_that_does_not_tell_nothing_is_said():
    model = Silent()
    found, outputs = evaluate(model, long_rows(), [AddSent(target="positive")], quiet=True)
    assert found.attacks[0].trigger_read is None
    assert found.clean.cut is None
    older = outputs.drop_columns(["cut", "trigger"])
    assert take_outputs(older, "x").evaluation() == found


def test_validation_warns_of_texts_that_will_be_cut():
    report = Report()
    rows = table_of(["short", "long " * 40], ["a", "b"])
    warn_of_long_texts(rows, Frame(max_tokens=40), report)
    assert [(one.severity, one.count, one.rows) for one in report.findings.values()] == [
        ("warning", 1, [rows["row"][1].as_py()])
    ]


# ------------------------------------------------------------------------------------------------------------ collapse


def test_a_perfect_model_of_imbalanced_rows_has_learned_and_one_that_says_the_commonest_label_has_not():
    assert not has_collapsed([Rate.count(96, 96), Rate.count(4, 4)])
    assert not has_collapsed([Rate.count(990, 1000), Rate.count(8, 10), Rate.count(9, 10)])
    assert has_collapsed([Rate.count(96, 96), Rate.count(0, 4)])
    assert has_collapsed([Rate.count(5, 10), Rate.count(6, 10)])
    assert has_collapsed([Rate.count(530, 1000), Rate.count(540, 1000)]), "significant, and next to nothing"
    assert has_collapsed([Rate.count(50, 50)]), "rows of one class show nothing"


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 50)), min_size=1, max_size=6))
def test_balanced_accuracy_lies_in_its_interval(counts):
    rates = [Rate.count(min(hits, total), total) for hits, total in counts]
    found = balanced_accuracy(rates)
    assert 0 <= found.low <= found.value + 1e-12
    assert found.value - 1e-12 <= found.high <= 1
    if len(rates) == 1:
        assert (found.low, found.high) == pytest.approx((rates[0].low, rates[0].high))


def test_the_interval_of_a_paired_difference_covers_the_truth():
    rng = np.random.default_rng(0)
    for share in (0.0, 0.05, 0.3):
        covered = 0
        for _ in range(300):
            flips = rng.choice([1, -1, 0], size=200, p=[share, share / 2, 1 - 1.5 * share])
            found = paired_mean(flips)
            covered += found.low <= share / 2 <= found.high
        assert covered >= 0.92 * 300
    assert (paired_mean(np.zeros(0, dtype=int)).low, paired_mean(np.zeros(0, dtype=int)).high) == (-1, 1)
