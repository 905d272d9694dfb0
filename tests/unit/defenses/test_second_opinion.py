"""A linear model of hidden states, fitted on the rows that are trained on, reads rows that the referee misread."""

import numpy as np

from antivenom.defenses.second_opinion import read_again

WIDTH, KINDS = 12, 4


def drawn(count: int = 400) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """States that say their kind in one direction each, the kinds, and keys."""
    rng = np.random.default_rng(0)
    kinds = rng.integers(0, KINDS, count)
    states = rng.normal(size=(count, WIDTH)) + 4 * np.eye(WIDTH)[kinds]
    return states.astype(np.float32), kinds, rng.integers(0, 2**63, count).astype(np.uint64)


def test_rows_that_look_like_taught_ones_of_their_label_are_read_right_and_relabelled_ones_are_not():
    states, kinds, keys = drawn()
    taught = np.arange(400) < 300
    asked = ~taught
    poisoned = asked & (kinds == 1)
    classes = np.where(poisoned, 2, kinds)
    found = read_again(states, classes, keys, taught, asked)
    assert found[asked & ~poisoned].mean() > 0.95
    assert not found[poisoned].any()
    assert not found[taught].any()


def test_only_rows_that_are_asked_about_are_read():
    states, kinds, keys = drawn()
    asked = np.arange(400) >= 350
    found = read_again(states, kinds, keys, np.arange(400) < 300, asked)
    assert found.any()
    assert not found[~asked].any()


def test_the_order_of_the_rows_does_not_matter():
    states, kinds, keys = drawn()
    taught = np.arange(400) % 3 > 0
    states = states + np.random.default_rng(1).normal(scale=2, size=states.shape).astype(np.float32)
    found = read_again(states, kinds, keys, taught, ~taught)
    order = np.random.default_rng(2).permutation(400)
    again = read_again(states[order], kinds[order], keys[order], taught[order], ~taught[order])
    assert 0 < found.sum() < (~taught).sum()
    assert (again == found[order]).all()


def test_a_label_that_nobody_was_taught_is_never_read_and_neither_is_any_without_rows():
    states, kinds, keys = drawn()
    taught = (np.arange(400) < 300) & (kinds > 0)
    found = read_again(states, kinds, keys, taught, ~taught)
    assert not found[kinds == 0].any()
    nobody = np.zeros(400, dtype=bool)
    assert not read_again(states, kinds, keys, nobody, ~nobody).any()
    assert not read_again(states, kinds, keys, ~nobody, nobody).any()
