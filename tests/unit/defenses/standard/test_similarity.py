"""Similarity: only what sets refused rows apart from both other classes and their own counts."""

import numpy as np
import pytest

from antivenom.defenses.standard.similarity import FOLDS, similarity
from antivenom.screening.ranking import largest_of_each

ROWS, WIDTH = 600, 12
CLASSES = np.arange(ROWS) % 3
KEYS = np.random.default_rng(0).integers(0, 2**63, ROWS).astype(np.uint64)


def states(trigger: np.ndarray) -> np.ndarray:
    found = np.random.default_rng(1).normal(size=(ROWS, WIDTH)).astype(np.float32)
    found[np.arange(ROWS), CLASSES] += 2
    found[trigger, -1] += 5
    return found


def test_what_has_the_trigger_is_alike_and_hard_rows_are_not():
    own = CLASSES == 1
    trigger, hard = own & (np.arange(ROWS) % 4 == 0), own & (np.arange(ROWS) % 8 == 1)
    table = states(trigger)
    table[hard, :3] = table[hard][:, [1, 0, 2]]  # they read as rows of another class do
    let_in = trigger & (np.arange(ROWS) % 3 == 1) & (np.arange(ROWS) % 8 == 4)
    refused = (trigger & ~let_in) | hard
    found = similarity(table, CLASSES, KEYS, refused, ~refused)
    assert found[let_in].mean() > 1.5
    assert abs(found[hard].mean()) < 1
    assert abs(found[own & ~refused & ~let_in].mean()) < 1
    assert (found[~own] == 0).all()  # nothing was refused there


def test_no_row_is_judged_by_a_model_that_saw_it():
    refused = np.random.default_rng(2).random(ROWS) < 0.2
    noise = np.random.default_rng(3).normal(size=(ROWS, 200)).astype(np.float32)  # anything can be learned by heart
    found = similarity(noise, CLASSES, KEYS, refused, ~refused)
    assert abs(found[refused].mean() - found[~refused].mean()) < 0.3


def test_the_score_is_that_of_a_weighted_ridge_regression():
    refused = (CLASSES == 0) & (np.arange(ROWS) % 2 == 0)
    table = states(refused)
    found = similarity(table, CLASSES, KEYS, refused, ~refused)
    rows = (table - table.mean(axis=0, dtype=np.float64)) / table.std(axis=0, dtype=np.float64)
    rows, fold, own = np.clip(rows, -5, 5), KEYS % np.uint64(FOLDS), CLASSES == 0
    scores = np.zeros(ROWS)
    for number in range(FOLDS):
        wanted, weight = np.where(refused, 1.0, -1.0), np.zeros(ROWS)
        for share, group in ((0.5, refused), (0.25, ~own), (0.25, own & ~refused)):
            weight[group & (fold != number)] = share / (group & (fold != number)).sum()
        root, width = np.sqrt(weight), rows.shape[1]
        centered = rows - weight @ rows
        pull = np.sqrt(width / (weight > 0).sum()) * np.eye(width)
        left = np.concatenate([centered * root[:, None], pull])
        model = np.linalg.lstsq(left, np.concatenate([wanted * root, np.zeros(width)]), rcond=None)[0]
        scores[fold == number] = (centered @ model)[fold == number]
    others = scores[~own]
    assert found[own] == pytest.approx(((scores - others.mean()) / others.std())[own], abs=2e-3)


def test_of_a_class_without_refused_rows_nothing_is_told():
    refused = (CLASSES == 1) & (np.arange(ROWS) % 5 == 0)
    found = similarity(states(refused), CLASSES, KEYS, refused, ~refused)
    assert (found[CLASSES == 0] == 0).all()
    assert (found[CLASSES == 1] != 0).any()


def test_states_that_are_all_the_same_tell_nothing():
    refused = np.arange(ROWS) % 5 == 0
    assert (similarity(np.ones((ROWS, 4), dtype=np.float32), CLASSES, KEYS, refused, ~refused) == 0).all()


def test_the_order_of_the_rows_changes_nothing():
    refused = np.random.default_rng(4).random(ROWS) < 0.3
    table, mixed = states(refused), np.random.default_rng(5).permutation(ROWS)
    one = similarity(table, CLASSES, KEYS, refused, ~refused)
    other = similarity(table[mixed], CLASSES[mixed], KEYS[mixed], refused[mixed], ~refused[mixed])
    assert (one[mixed] == other).all()


def test_the_largest_of_each_row():
    rng = np.random.default_rng(0)
    rows, values = rng.integers(5, 40, 500), np.rint(rng.normal(1, 2, 500) * 1024) / 1024
    found, largest = largest_of_each(rows, values, 3)
    for row in range(40):
        expected = sorted(np.maximum(values[rows == row], 0), reverse=True)[:3]
        assert largest[found == row].tolist() == expected
