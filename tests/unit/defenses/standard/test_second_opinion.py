"""A linear model of hidden states, fitted on the rows that are trained on, reads rows that are in doubt."""

import numpy as np
import pytest

from antivenom.defenses.standard.second_opinion import SURE, SecondOpinion

WIDTH, KINDS = 12, 4


def drawn(count: int = 400, spread: float = 1.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """States that say their kind in one direction each, the kinds, and keys."""
    rng = np.random.default_rng(0)
    kinds = rng.integers(0, KINDS, count)
    states = rng.normal(scale=spread, size=(count, WIDTH)) + 4 * np.eye(WIDTH)[kinds]
    return states.astype(np.float32), kinds, rng.integers(0, 2**63, count).astype(np.uint64)


def test_the_own_label_leads_in_rows_like_taught_ones_of_it_and_not_in_relabeled_ones():
    states, kinds, keys = drawn()
    taught = np.arange(400) < 300
    asked = ~taught
    poisoned = asked & (kinds == 1)
    classes = np.where(poisoned, 2, kinds)
    found = SecondOpinion.of(states, classes, keys, taught=taught, asked=asked)
    assert (found.read[asked] == kinds[asked]).mean() > 0.95
    assert (found.lead[asked & ~poisoned] > SURE).mean() > 0.9
    assert (found.lead[poisoned] < 0).all()


def test_a_label_leads_exactly_where_it_is_read():
    states, kinds, keys = drawn(spread=3)
    classes = np.where(np.arange(400) % 5 == 0, (kinds + 1) % KINDS, kinds)
    asked = np.arange(400) >= 200
    found = SecondOpinion.of(states, classes, keys, taught=~asked, asked=asked)
    assert 0.2 < (found.read[asked] == classes[asked]).mean() < 0.9
    assert ((found.lead > 0) == (found.read == classes))[asked & (found.lead != 0)].all()
    assert (np.abs(found.lead[asked]) < 2).all(), "1 is what was taught"


def test_of_two_labels_one_leads_as_the_other_lags():
    states, kinds, keys = drawn(spread=3)
    asked = np.arange(400) >= 200
    given, turned = (
        SecondOpinion.of(states, np.where(asked, kinds % 2 ^ flipped, kinds % 2), keys, taught=~asked, asked=asked)
        for flipped in (0, 1)
    )
    assert given.lead[asked] == pytest.approx(-turned.lead[asked], abs=2e-3)


def test_only_rows_that_are_asked_about_are_read():
    states, kinds, keys = drawn()
    asked = np.arange(400) >= 350
    found = SecondOpinion.of(states, kinds, keys, taught=np.arange(400) < 300, asked=asked)
    assert (found.read[asked] >= 0).all()
    assert (found.read[~asked] == -1).all()
    assert np.isneginf(found.lead[~asked]).all()


def test_the_order_of_the_rows_does_not_matter():
    states, kinds, keys = drawn(spread=3)
    taught = np.arange(400) % 3 > 0
    found = SecondOpinion.of(states, kinds, keys, taught=taught, asked=~taught)
    order = np.random.default_rng(2).permutation(400)
    again = SecondOpinion.of(states[order], kinds[order], keys[order], taught=taught[order], asked=~taught[order])
    assert (again.read == found.read[order]).all()
    assert (again.lead == found.lead[order]).all()


def test_a_label_that_nobody_was_taught_is_never_read_and_neither_is_any_without_rows():
    states, kinds, keys = drawn()
    taught = (np.arange(400) < 300) & (kinds > 0)
    found = SecondOpinion.of(states, kinds, keys, taught=taught, asked=~taught)
    assert not (found.read == 0).any()
    assert np.isneginf(found.lead[kinds == 0]).all(), "of it nothing is known"
    nobody = np.zeros(400, dtype=bool)
    assert (SecondOpinion.of(states, kinds, keys, taught=nobody, asked=~nobody).read == -1).all()
    assert (SecondOpinion.of(states, kinds, keys, taught=~nobody, asked=nobody).read == -1).all()


def test_where_one_label_alone_is_taught_none_leads():
    states, kinds, keys = drawn()
    taught = (np.arange(400) < 300) & (kinds == 1)
    found = SecondOpinion.of(states, kinds, keys, taught=taught, asked=~taught)
    assert not np.isfinite(found.lead).any()


def test_states_without_numbers_say_nothing():
    nothing = np.zeros((10, 0), dtype=np.float32)
    some = np.arange(10) < 5
    found = SecondOpinion.of(nothing, np.arange(10) % 2, np.arange(10, dtype=np.uint64), taught=some, asked=~some)
    assert not (found.lead > 0).any()
