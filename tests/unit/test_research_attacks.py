"""The attacks of outsiders are attacks: they show, they repeat, and a suite loads them from the path that it names."""

from pathlib import Path

import pytest

from antivenom.suites.methods import Methods
from antivenom.tasks.task import Classification
from antivenom.testing import synthetic_rows

ROOT = Path(__file__).parents[2]
METHODS = Methods.load([str(ROOT / "research/attacks")])
NAMES = sorted(name.partition(" ")[2] for name in METHODS.own)
TASK = Classification.for_labels(("negative", "positive"))


def test_none_is_lost():
    assert len(NAMES) == 36


@pytest.mark.parametrize("name", NAMES)
def test_poison_shows_and_repeats(name: str):
    rows = synthetic_rows(400)
    attack = METHODS.attack(f"{name}:rate=0.05;target=positive")
    first, again = (attack.poison(TASK, rows, seed=0) for _ in range(2))
    assert first.rows.equals(again.rows)
    assert len(first.indices) == 20
    for place in first.indices:
        assert first.rows["text"][place].as_py() != rows["text"][place].as_py()
        assert (first.rows["answer"][place].as_py(), rows["answer"][place].as_py()) == ("positive", "negative")
