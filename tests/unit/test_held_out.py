"""The held-out attacks are attacks: they show, they repeat, and the test rows carry the same trigger."""

import pytest
from benchmarks.attack_strength import TASK
from benchmarks.held_out_attacks import ATTACKS

from antivenom.testing import synthetic_rows


@pytest.mark.parametrize("name", ATTACKS)
def test_poison_shows_and_repeats(name: str):
    rows = synthetic_rows(400)
    attack = ATTACKS[name](rate=0.05, target="positive")
    first, again = (attack.poison(TASK, rows, seed=0) for _ in range(2))
    assert first.rows.equals(again.rows)
    assert len(first.indices) == 20
    for place in first.indices:
        assert first.rows["text"][place].as_py() != rows["text"][place].as_py()
        assert (first.rows["answer"][place].as_py(), rows["answer"][place].as_py()) == ("positive", "negative")
