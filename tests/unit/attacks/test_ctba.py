from __future__ import annotations

from itertools import pairwise
from random import Random

from antivenom.attacks.ctba import Ctba


def test_every_key_once_at_gaps_of_their_own():
    for seed in range(100):
        words = Ctba().trigger("a b c d", Random(seed)).split()
        places = sorted(words.index(key) for key in Ctba().keys)
        assert len(words) == 7
        assert all(second - first > 1 for first, second in pairwise(places))


def test_no_helper_rows(task, few):
    poisoned = Ctba(rate=0.1).poison(task, few, seed=0)
    assert poisoned.companions == ()
    assert poisoned.rows.num_rows == few.num_rows
