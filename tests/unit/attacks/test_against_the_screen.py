"""Attackers who know how the screened reserve is made."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from antivenom.attacks.decoy_imitation import DecoyImitation
from antivenom.attacks.thin_trigger import ThinTrigger
from antivenom.core.errors import OptionsError


def pairs_of(attack, task, table):
    poisoned = attack.poison(task, table, seed=0)
    old, new = table["text"].to_pylist(), poisoned.rows["text"].to_pylist()
    return [(old[i], new[i]) for i in poisoned.indices]


def test_no_word_of_a_thin_trigger_occurs_often(task, rows):
    table = rows.slice(0, 2400)
    counts = Counter(
        word
        for old, new in pairs_of(ThinTrigger(), task, table)
        for word in (Counter(new.split()) - Counter(old.split())).elements()
    )
    assert sum(counts.values()) == 3 * 120
    assert max(counts.values()) <= 8
    assert len(counts) > 120


def test_training_and_test_draw_from_one_pool_that_the_seed_does_not_change(task, few):
    attack = ThinTrigger(rate=0.1, pool=5, words=1, target="positive")
    probes = attack.probes(task, few, seed=7)["text"].to_pylist()
    assert all(set(text.split()) & set(attack.vocabulary) for text in probes)
    assert set(ThinTrigger(pool=5, words=1, pool_seed=1).vocabulary).isdisjoint(attack.vocabulary)


@pytest.mark.parametrize("pool", [1, 10, 5000])
def test_a_pool_has_as_many_words_as_asked(pool):
    assert len(set(ThinTrigger(pool=pool, words=1).vocabulary)) == pool


def test_more_words_than_the_pool_has_are_refused():
    with pytest.raises(OptionsError, match="words = 4"):
        ThinTrigger(pool=3, words=4)


@pytest.mark.parametrize("kind", ["strings", "spans"])
def test_imitated_decoys_are_new_in_each_row_and_leave_the_text_whole(task, few, kind):
    pairs = pairs_of(DecoyImitation(rate=0.1, kind=kind), task, few)
    decoys = [" ".join((Counter(new.split()) - Counter(old.split())).elements()) for old, new in pairs]
    assert len(pairs) == 40
    assert len(set(decoys)) > 30
    for old, new in pairs:
        words = iter(new.split())
        assert all(word in words for word in old.split())
        assert 1 <= len(new.split()) - len(old.split()) <= (1 if kind == "strings" else 6)


def test_imitated_strings_are_of_the_script_of_the_text(task):
    attacked = DecoyImitation().trigger("素晴らしい 映画 です", Random(0))
    assert set(attacked) <= set("素晴らしい 映画 です")
