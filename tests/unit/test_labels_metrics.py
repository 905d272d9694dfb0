"""From scores to numbers: the five attack readings, their identity, and intervals."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from antivenom.core.errors import OptionsError
from antivenom.core.intervals import wilson
from antivenom.evaluation.metrics import read_attack, read_clean
from antivenom.evaluation.rates import Rate
from antivenom.guards.guard import Guard, unguarded
from antivenom.guards.labels import ChoiceScores, LabelMap, read_scores, shares
from antivenom.tasks.task import Classification

TWO = Classification.for_labels(("negative", "positive"))
THREE = Classification.for_labels(("a", "b", "c"))


def says(outputs: list[int | None], choices: int) -> ChoiceScores:
    """Scores of a model that is sure of choice `outputs[i]` (None: of something that is no choice)."""
    logs = np.full((len(outputs), choices), math.log(0.01))
    for row, output in enumerate(outputs):
        if output is not None:
            logs[row, output] = math.log(0.9)
    return ChoiceScores(logs, np.array([output is None for output in outputs], dtype=bool))


def attack_readings(outputs, truth, *, task=TWO, labels=None, clean=None, target=0):
    labels = labels or LabelMap.extended(task)
    k = len(labels.choices)
    truth = np.array(truth)
    clean = truth + (k - len(task.labels)) if clean is None else clean
    return read_attack(
        read_scores(says(outputs, k), labels),
        read_scores(says(list(clean), k), labels),
        truth,
        target,
        attack="x",
        name=task.labels[target],
        extends=k > len(task.labels),
    )


def test_the_toy_of_the_specification():
    """Outputs [t, t+n, y+n, y] on four attacked rows: extended 25 %, projected 50 %, alpha 50 %."""
    found = attack_readings([0, 2, 3, 1], [1, 1, 1, 1])
    assert found.asr_extended.value == 0.25
    assert found.asr.value == 0.5
    assert found.alpha.value == 0.5
    assert (found.epsilon.hits, found.epsilon.total) == (1, 2)
    assert (found.beta.hits, found.beta.total) == (1, 2)
    assert found.floor.value == 0


def test_a_model_that_always_says_the_target():
    found = attack_readings([0] * 4, [1] * 4, labels=LabelMap.identity(TWO))
    assert found.asr.value == found.asr_deployed.value == 1
    clean = read_clean(
        read_scores(says([0] * 10, 2), LabelMap.identity(TWO)), np.array([0, 1] * 5), TWO.labels, extends=False
    )
    assert clean.accuracy.value == clean.majority == 0.5
    assert clean.collapsed


def test_an_oracle():
    found = attack_readings([3] * 4, [1] * 4)
    assert found.asr.value == found.asr_deployed.value == found.asr_extended.value == found.excess == 0
    clean = read_clean(
        read_scores(says([2, 3] * 5, 4), LabelMap.extended(TWO)), np.array([0, 1] * 5), TWO.labels, extends=True
    )
    assert clean.accuracy.value == clean.accuracy_projected.value == clean.accuracy_extended.value == 1
    assert not clean.collapsed


def test_a_wrong_answer_that_is_not_the_target_is_no_success():
    """The shortcut ASR = 1 - accuracy would say 100 %."""
    found = attack_readings([5, 5, 5], [1, 1, 1], task=THREE)
    assert found.asr.value == found.asr_deployed.value == 0
    assert found.accuracy.value == 0


def test_the_floor_and_the_excess_count_the_same_rows():
    found = attack_readings([2, 2, 2, 3], [1, 1, 1, 1], clean=[2, 3, 3, 3])
    assert (found.floor.hits, found.floor.total) == (1, 4)
    assert found.excess == pytest.approx(0.5)


def test_an_unreadable_output_is_no_success_and_stays_in_the_denominator():
    found = attack_readings([None, 0], [1, 1])
    assert (found.asr.hits, found.asr.total) == (1, 2)
    assert found.asr_deployed.total == 2
    assert found.alpha.hits == 0


def test_escape_is_the_mass_outside_the_allowed_choices():
    logs = np.log(np.array([[0.5, 0.1, 0.3, 0.05]]))
    [reading] = Guard(TWO, LabelMap.extended(TWO)).read(ChoiceScores(logs, np.array([False])))
    assert reading.answer == "negative"
    assert reading.probability == pytest.approx(0.3 / 0.35)
    assert reading.escape == pytest.approx(0.65)
    assert reading.extended is False


@st.composite
def scores(draw):
    n, rows = draw(st.integers(2, 6)), draw(st.integers(1, 20))
    task = Classification.for_labels([f"class {i}" for i in range(n)])
    logits = draw(hnp.arrays(np.float64, (rows, 2 * n + 1), elements=st.floats(-30, 30)))
    logs = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    other = logs[:, -1] > logs[:, :-1].max(axis=1)
    truth = np.array(draw(st.lists(st.integers(1, n - 1), min_size=rows, max_size=rows)))
    return task, ChoiceScores(logs[:, :-1], other), truth


@given(scores())
def test_identities_of_the_attack_readings(drawn):
    task, found, truth = drawn
    columns = read_scores(found, LabelMap.extended(task))
    attack = read_attack(columns, columns, truth, 0, attack="x", name=task.labels[0], extends=True)
    assert attack.asr_extended.hits <= attack.asr.hits
    assert attack.excess == 0
    parts = [(attack.alpha.value, attack.epsilon.value), (1 - attack.alpha.value, attack.beta.value)]
    assert attack.asr.value == pytest.approx(sum(share * (rate or 0) for share, rate in parts))
    assert attack.epsilon.total + attack.beta.total == attack.asr.total == len(truth)
    assert ((columns.deployed >= 0) & (columns.deployed < len(task.labels))).all()
    assert ((columns.escape >= 0) & (columns.escape <= 1)).all()
    n = len(task.labels)
    assert (columns.deployed == found.log_probabilities[:, n:].argmax(axis=1)).all()


@given(scores())
def test_rows_are_read_independently(drawn):
    task, found, _ = drawn
    labels = LabelMap.extended(task)
    whole = read_scores(found, labels)
    for i in range(len(found)):
        alone = read_scores(ChoiceScores(found.log_probabilities[i : i + 1], found.other[i : i + 1]), labels)
        assert alone.deployed[0] == whole.deployed[i]
        assert alone.output[0] == whole.output[i]
        assert alone.escape[0] == pytest.approx(whole.escape[i])


def test_no_rows_give_no_readings():
    empty = read_scores(ChoiceScores(np.zeros((0, 4)), np.zeros(0, dtype=bool)), LabelMap.extended(TWO))
    assert len(empty) == 0
    assert unguarded(TWO).read(ChoiceScores(np.zeros((0, 2)), np.zeros(0, dtype=bool))) == []


def test_wilson():
    rate = Rate.count(3, 912)
    assert (round(100 * rate.low, 2), round(100 * rate.high, 2)) == (0.11, 0.96)
    assert Rate.count(0, 10).low == 0
    assert Rate.count(10, 10).high == 1


def test_without_a_count_a_share_may_be_anything():
    assert wilson(0, 0) == (0.0, 1.0)


@given(st.integers(0, 500), st.integers(1, 500))
def test_intervals_hold_the_share(hits, misses):
    rate = Rate.count(hits, hits + misses)
    assert 0 <= rate.low <= rate.value <= rate.high <= 1
    z, n, p = 1.959963984540054, hits + misses, rate.value
    middle, half = (p + z * z / 2 / n), z * math.sqrt(p * (1 - p) / n + z * z / 4 / n / n)
    assert rate.low == pytest.approx((middle - half) / (1 + z * z / n), abs=1e-9)
    assert rate.high == pytest.approx((middle + half) / (1 + z * z / n), abs=1e-9)


def test_nothing_counted_is_said_so():
    rate = Rate.count(0, 0)
    assert (rate.value, str(rate)) == (None, "-")
    assert Rate.from_dict(rate.to_dict()) == rate


@pytest.mark.parametrize(
    "change",
    [
        {"allowed": (2,)},
        {"allowed": (2, 2)},
        {"allowed": (2, 9)},
        {"allowed": (2, -1)},
        {"allowed": ()},
        {"meaning": (0, 1, 0)},
        {"meaning": (1, 0, 0, 1)},
        {"meaning": (0, 1, 0, 7)},
        {"choices": ("0", "1", "2", "2")},
    ],
)
def test_a_label_map_must_make_sense(change):
    good = LabelMap.extended(TWO).to_dict()
    with pytest.raises(OptionsError):
        LabelMap.from_dict({**good, **change})


def test_a_guard_needs_the_labels_of_its_task():
    with pytest.raises(OptionsError, match="other labels"):
        Guard(TWO, LabelMap.extended(THREE))


def test_verbalizers_of_the_paper():
    assert TWO.verbalizers + TWO.extended == ("negative", "positive", "bad", "good")
    ten = Classification.for_labels([f"topic {i}" for i in range(10)])
    assert ten.verbalizers[:2] + ten.extended[-1:] == ("00", "01", "19")
    assert Classification.for_labels(("no", "yes"), words="digits").extended == ("2", "3")


@pytest.mark.parametrize("labels", [(), ("one",), ("a", "A"), ("a", " "), ("a", "a ")])
def test_labels_that_cannot_be_told_apart(labels):
    with pytest.raises(OptionsError):
        Classification.for_labels(labels)


def test_words_that_are_not_known_are_asked_for():
    with pytest.raises(OptionsError, match="no extended verbalizer is known for 'sports'"):
        Classification.for_labels(("sports", "tech"), words="words")


def test_shares_are_those_of_the_allowed_choices_in_the_order_of_the_labels():
    swapped = LabelMap(TWO.labels, TWO.verbalizers + TWO.extended, (3, 2), (0, 1, 0, 1))
    scores = ChoiceScores(np.log([[0.5, 0.1, 0.1, 0.3]]), np.zeros(1, dtype=bool))
    for labels in (swapped, LabelMap.extended(TWO)):
        assert shares(scores, labels) == pytest.approx(np.array([[0.25, 0.75]]))
