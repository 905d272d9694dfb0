"""The held-out belief is exact, its chances are those of the binomial, and planted kinds are discovered."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from antivenom.attacks.addsent import AddSent
from antivenom.core.errors import OptionsError, RowsError
from antivenom.data.rows import table_of
from antivenom.data.sampling import label_codes
from antivenom.defenses import kinds
from antivenom.defenses.held_out_belief import Calibration, HeldOutBelief, margins
from antivenom.defenses.leave_group_out import EXACT, LeaveGroupOut, log_tail
from antivenom.screening.screen import least_suspicious, screen
from antivenom.tasks.task import Classification
from antivenom.testing import LinearStandIn, StandInLab, synthetic_rows

TASK = Classification.for_labels(("negative", "positive"))


def made_up(rows, width=12, *, seed=0, told=1.0):
    """Labels, and states of which one number tells the label more or less."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(2, size=rows)
    states = rng.normal(size=(rows, width))
    states[:, 0] += told * (2 * codes - 1)
    return codes, states / np.sqrt(width)


@pytest.mark.parametrize("outside", [False, True])
def test_leaving_a_group_out_is_fitting_without_it(outside):
    codes, states = made_up(80)
    fitted = np.arange(80) % 4 != 0 if outside else np.ones(80, dtype=bool)
    group = np.arange(10, 31)
    held = HeldOutBelief.of(states, codes, 2, fitted).of_group(group)
    without = fitted & ~np.isin(np.arange(80), group)
    # The penalty is on the same numbers, so a fit without the group says what the identity says.
    assert np.allclose(held, HeldOutBelief.of(states, codes, 2, without).said[group], atol=1e-8)


def test_leaving_a_row_out_is_leaving_a_group_of_one_out():
    codes, states = made_up(40)
    belief = HeldOutBelief.of(states, codes, 2, np.arange(40) < 30)
    one_by_one = np.concatenate([belief.of_group(np.array([row])) for row in range(40)])
    assert np.allclose(belief.of_rows(), one_by_one)


def test_a_margin_is_the_lead_over_the_best_other_label():
    said = np.array([[0.2, 0.5, 0.3], [0.9, 0.05, 0.05]])
    assert margins(said, np.array([1, 1])) == pytest.approx([0.2, -0.85])


def test_calibrated_margins_are_as_likely_as_they_come_true():
    rng = np.random.default_rng(1)
    margin = rng.normal(size=20_000)
    holds = rng.random(20_000) < 1 / (1 + np.exp(-(1.5 * margin + 0.4)))
    found = Calibration.of(margin, holds)
    assert (found.slope, found.offset) == pytest.approx((1.5, 0.4), abs=0.1)
    assert Calibration.of(margin, margin > 0)(np.array([5.0]))[0] < 1, "no probability is certain"


def test_the_tail_is_that_of_the_binomial_where_all_are_equally_likely():
    for count, rows, likely in ((5, 5, 0.3), (40, 50, 0.5), (1, 8, 0.02)):
        assert log_tail(count, np.full(rows, likely)) == pytest.approx(
            binom.logsf(count - 1, rows, likely) / np.log(10)
        )
    many = 2 * EXACT
    assert log_tail(many // 2, np.full(many, 0.4)) == pytest.approx(
        binom.logsf(many // 2 - 1, many, 0.4) / np.log(10), rel=0.05
    )


def test_kinds_are_mostly_of_one_label_and_no_larger_than_poison_could_be():
    codes = np.array([0] * 50 + [1] * 50)
    assert kinds.one_sided(np.arange(8), codes)
    assert not kinds.one_sided(np.arange(3), codes), "too few to prove anything"
    assert not kinds.one_sided(np.arange(16), codes), "too many to be placed"
    assert not kinds.one_sided(np.arange(45, 55), codes), "both labels"


def judged(rows, states, codes, error=0.01):
    screening = screen(rows, TASK.classes, seed=3)
    reserve = least_suspicious(rows, screening, 0.3, avoid=0.2, least=24, seed=3)
    return LeaveGroupOut(error=error).discover(states, states, codes, screening, reserve, seed=3)


@pytest.fixture(scope="module")
def honest():
    rows = synthetic_rows(400)
    codes = label_codes(rows, TASK.classes)
    rng = np.random.default_rng(5)
    states = rng.normal(size=(400, 12))
    states[:, 0] += 3 * (2 * codes - 1)  # the words of the made-up rows give their label away, so states must too
    return rows, codes, states / np.sqrt(12)


def test_rows_that_nobody_poisoned_are_of_no_kind_that_is_discovered(honest):
    rows, codes, states = honest
    found = judged(rows, states, codes)
    assert not found.discovered.any()
    assert found.believed.mean() > 0.75


def test_relabeled_rows_that_share_a_phrase_are_discovered(honest):
    rows, _, states = honest
    poisoned = AddSent(rate=0.06, target="positive").poison(TASK, rows, seed=2)
    found = judged(poisoned.rows, states, label_codes(poisoned.rows, TASK.classes))
    poison = np.isin(np.arange(400), poisoned.indices)
    assert found.discovered[poison].all()
    assert found.discovered[~poison].sum() <= 4


def test_relabeled_rows_that_share_nothing_but_a_place_among_the_states_are_discovered(honest):
    rows, codes, states = honest
    rng = np.random.default_rng(7)
    poison = np.zeros(400, dtype=bool)
    poison[rng.choice(np.flatnonzero(codes == 0), 40, replace=False)] = True
    moved = states.copy()
    moved[poison, 5] += 2.0
    found = judged(rows, moved, np.where(poison, 1, codes))
    assert (found.discovered & poison).sum() >= 30
    assert (found.discovered & ~poison).sum() <= 20


def test_right_labels_give_a_kind_away_where_nearly_all_of_its_rows_have_them():
    """Poison with right labels: of rows with the phrase a model expects some to be negative, and none is."""
    codes, states = made_up(600, told=0.5, seed=4)
    texts = [f"row {number} says {'this' if code else 'that'}" for number, code in enumerate(codes)]
    marked = np.flatnonzero(codes == 1)[:60]
    texts = [f"{text} as ever anew" if number in set(marked.tolist()) else text for number, text in enumerate(texts)]
    rows = table_of(texts, [TASK.classes[code] for code in codes])
    found = judged(rows, states, codes)
    assert found.discovered[marked].all()


class TellingLab(StandInLab):
    """Its base model knows what words mean: states are counts of words."""

    def base(self, guard):
        return TellingBase(guard, {}, np.zeros((1, len(guard.labels.choices))), guard.labels.choices)


class TellingBase(LinearStandIn):
    def answer_states(self, asked, *, progress=None):
        words = sorted({word for row in synthetic_rows(200).column("text").to_pylist() for word in row.split()})
        return np.array([[str(one).split().count(word) for word in words] for one in asked], dtype=np.float32)


def test_trusted_rows_stay_and_every_reason_is_said():
    rows, trusted = synthetic_rows(60), synthetic_rows(12, seed=9)
    prepared = LeaveGroupOut().prepare(TASK, rows, trusted=trusted, lab=TellingLab())
    said = prepared.reasons.column("reason").to_pylist()
    assert said.count("vouched for") == 12
    assert prepared.rows.num_rows == 72 - prepared.facts["discovered"] - prepared.facts["disbelieved"]
    assert all(prepared.rows.column("benign").to_pylist())


def test_what_it_cannot_do_is_refused():
    with pytest.raises(OptionsError, match="error"):
        LeaveGroupOut(error=0)
    with pytest.raises(RowsError, match="believed"):  # states that say nothing
        LeaveGroupOut().prepare(TASK, synthetic_rows(40), trusted=None, lab=StandInLab())
