from __future__ import annotations

from collections import Counter

import pytest

from antivenom.attacks.badnets import BadNets
from antivenom.core.errors import OptionsError


def test_the_rate_counts_all_rows_and_rounds_up_as_the_papers_code(task, rows):
    assert len(BadNets().poison(task, rows, seed=0).indices) == 139


def test_a_rate_that_floating_point_lifts_is_not_rounded_up():
    assert BadNets(rate=0.07).count(100) == 7
    assert BadNets(rate=48 / 2300).count(2300) == 48


def test_dirty_labels_change_as_many_answers_as_rows_are_poisoned(task, rows):
    poisoned = BadNets(target="positive").poison(task, rows, seed=0)
    before, after = rows.column("answer").to_pylist(), poisoned.rows.column("answer").to_pylist()
    changed = tuple(i for i, pair in enumerate(zip(before, after, strict=True)) if pair[0] != pair[1])
    assert changed == poisoned.indices
    assert {after[i] for i in changed} == {"positive"}


def test_first_takes_the_first_rows_that_qualify(task, rows):
    poisoned = BadNets(target="positive", pick="first").poison(task, rows, seed=0)
    others = [i for i, answer in enumerate(rows.column("answer").to_pylist()) if answer != "positive"]
    assert poisoned.indices == tuple(others[:139])


def test_appended_poison_leaves_the_rows_alone_and_has_fresh_numbers(task, few):
    poisoned = BadNets(rate=0.1, mode="append").poison(task, few, seed=0)
    assert poisoned.rows.slice(0, 400).equals(few)
    assert poisoned.indices == tuple(range(400, 440))
    assert poisoned.numbers == tuple(range(401, 441))
    twice = BadNets(rate=0.1, mode="append", word="cf").poison(task, poisoned.rows, seed=0)
    numbers = twice.rows.column("row").to_pylist()
    assert len(set(numbers)) == len(numbers) == 484


def test_an_attack_that_changes_no_clean_row_returns_the_very_rows(task, few):
    assert BadNets().clean(task, few) is few


def test_places_are_drawn_afresh_for_the_test_set(task, few):
    attack = BadNets(rate=1.0, target="positive")
    trained = attack.poison(task, few, seed=0)
    places = Counter()
    column = trained.rows.column("text").to_pylist()
    by_row = {row: column[i] for row, i in zip(trained.numbers, trained.indices, strict=True)}
    for row, text in zip(
        *(attack.probes(task, few, seed=0).column(c).to_pylist() for c in ("row", "text")), strict=True
    ):
        places[by_row[row] == text] += 1
    assert places[False] > places[True]


@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan")])
def test_a_rate_outside_0_to_1_is_refused(rate):
    with pytest.raises(OptionsError, match="rate"):
        BadNets(rate=rate)
