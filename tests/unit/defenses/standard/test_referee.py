"""What a linear model of hidden states that was taught some rows reads in all of them."""

import numpy as np
import pytest

from antivenom.defenses.standard import state_table
from antivenom.defenses.standard.referee import DOUBTED, Referee, read_each
from antivenom.defenses.standard.state_table import StateTable

WIDTH, KINDS, COUNT = 12, 4, 400


def drawn(spread: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """States that say their kind in one direction each, the kinds, and keys."""
    rng = np.random.default_rng(0)
    kinds = rng.integers(0, KINDS, COUNT)
    states = rng.normal(scale=spread, size=(COUNT, WIDTH)) + 4 * np.eye(WIDTH)[kinds]
    return states.astype(np.float32), kinds, rng.integers(0, 2**63, COUNT).astype(np.uint64)


TAUGHT = np.arange(COUNT) < 300


def test_relabeled_rows_are_refused_and_others_are_not():
    states, kinds, keys = drawn()
    poisoned = ~TAUGHT & (kinds == 1)
    classes = np.where(poisoned, 2, kinds)
    referee = Referee.of(states, classes, KINDS, keys, TAUGHT)
    refused = referee.refuses(classes)
    assert refused[poisoned].all()
    assert refused[~poisoned].mean() < 0.05
    assert (referee.leads(classes)[poisoned] < 0).all()
    assert referee.accuracy(classes, TAUGHT) > 0.95


def test_a_label_is_refused_below_its_limit():
    shares = np.array([[0.29, 0.71], [0.31, 0.69], [0.9, 0.1]])
    referee = Referee(shares, shares, np.array([0.3, 0.2]))
    assert referee.refuses(np.zeros(3, dtype=int)).tolist() == [True, False, False]
    assert referee.refuses(np.ones(3, dtype=int)).tolist() == [False, False, True]


def test_a_limit_is_a_part_of_an_even_share_or_of_the_share_of_a_rare_label():
    states, kinds, keys = drawn()
    rare = TAUGHT & ((kinds != 1) | (np.cumsum(kinds == 1) <= 5))
    limits = Referee.of(states, kinds, KINDS, keys, rare).limits
    assert limits[1] == pytest.approx(DOUBTED * 5 / rare.sum())
    assert np.delete(limits, 1) == pytest.approx(np.full(KINDS - 1, DOUBTED / KINDS), rel=0.3)
    assert limits.max() == pytest.approx(DOUBTED / KINDS)
    nothing = Referee.of(states, kinds, KINDS, keys, TAUGHT & (kinds != 1))
    assert nothing.refuses(np.ones(COUNT, dtype=int)).all(), "of which nothing was taught"


def test_limits_are_of_the_rows_that_are_learned_from(monkeypatch):
    """Of a label of many rows some are learned from; what is rare among all rows is not among those."""
    monkeypatch.setattr(state_table, "MOST_FITTED", 40)
    monkeypatch.setattr(state_table, "LEAST_FITTED", 10)
    states, _, keys = drawn()
    few = np.arange(COUNT) % 20 == 0
    limits = Referee.of(states, few.astype(int), 2, keys, TAUGHT).limits
    assert limits[1] == pytest.approx(DOUBTED * 15 / 35)


def test_honest_rows_of_a_rare_label_are_not_refused_for_being_rare():
    """Fifty rows of one label to one of another, and states that tell them apart about as well as those of reviews."""
    rng, few = np.random.default_rng(0), np.arange(3000) % 50 == 0
    states = (rng.normal(size=(3000, 64)) + 2.0 * few[:, np.newaxis] * (np.arange(64) < 2)).astype(np.float32)
    keys, taught = rng.integers(0, 2**63, 3000).astype(np.uint64), rng.random(3000) < 0.3
    referee = Referee.of(states, few.astype(int), 2, keys, taught)
    assert referee.refuses(few.astype(int))[few & ~taught].mean() < 0.3


def test_shares_are_probabilities_and_tell_how_often_it_is_right():
    states, kinds, keys = drawn(spread=3)
    referee = Referee.of(states, kinds, KINDS, keys, TAUGHT)
    assert referee.shares.sum(axis=1) == pytest.approx(np.ones(COUNT))
    right = referee.said.argmax(axis=1) == kinds
    assert referee.shares.max(axis=1)[~TAUGHT].mean() == pytest.approx(right[~TAUGHT].mean(), abs=0.1)


def test_no_row_is_read_by_a_model_that_was_fitted_on_it():
    states, kinds, _ = drawn(spread=3)
    some, order = np.arange(60) < 40, np.arange(60)
    table, wanted = StateTable.of(states[:60], order), np.eye(KINDS)[kinds[:60]]
    said = read_each(table, wanted, some)
    for row in (0, 7, 39):
        without = some & (order != row)
        # The penalty is the width over the rows, so that one row less is a little more of it.
        assert said[row] == pytest.approx(read_each(table, wanted, without)[row], abs=0.02)


def test_no_order_of_the_rows_changes_what_is_said():
    states, kinds, keys = drawn()
    order = np.random.default_rng(3).permutation(COUNT)
    before = Referee.of(states, kinds, KINDS, keys, TAUGHT)
    after = Referee.of(states[order], kinds[order], KINDS, keys[order], TAUGHT[order])
    assert (after.said == before.said[order]).all()
    assert (after.shares == before.shares[order]).all()


def test_a_label_of_which_nothing_was_taught_is_never_read():
    states, kinds, keys = drawn()
    referee = Referee.of(states, kinds, KINDS, keys, TAUGHT & (kinds != 3))
    assert not (referee.said.argmax(axis=1) == 3).any()
