"""The reserve is chosen once more, of rows that share little with those that a first referee refused."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from scenes import EVERY, IS_YES, ROW_NUMBERS, TASK, Reader, Scene

from antivenom.core.errors import OptionsError
from antivenom.defenses import parse_defense
from antivenom.defenses.p2p import P2P

TRIGGERED = IS_YES & (EVERY % 7 == 0)
STYLE = Scene(TRIGGERED, TRIGGERED & (EVERY % 3 == 0), IS_YES & ~TRIGGERED & (EVERY % 15 == 0), style=8)
TWICE = P2P(
    reserve="screened",
    ratio=0.3,
    others="agree",
    mode="replace",
    refusal_limit=3,
    most_associated=0,
    choose_twice=True,
)


def reserves(scene, rows, defense=TWICE, trusted=None):
    """Which rows stand in the first reserve and in the second, and what is taught in the end."""
    first = defense.prepare(TASK, rows, trusted=trusted, seed=0)
    second = first.reconsider(Reader(first.guard, scene))
    last = second.decided(lambda prepared: Reader(prepared.guard, scene))
    assert last.facts["exchanged"] == len(rows_in(second) - rows_in(first))
    place = {row: i for i, row in enumerate(ROW_NUMBERS)}
    return [{place[row] for row in rows_in(prepared)} for prepared in (first, second, last)]


def rows_in(prepared):
    return set(prepared.rows.column("row").to_pylist())


def test_poison_that_got_into_the_reserve_leaves_it():
    first, second, taught = reserves(STYLE, STYLE.rows)
    triggered, refused = set(np.flatnonzero(TRIGGERED)), set(np.flatnonzero(STYLE.refused))
    assert len(first & triggered) > 5, "the screen sees nothing in these rows"
    assert not second & triggered
    assert not (second - first) & refused
    assert not taught & triggered
    assert len(first) == len(second)
    assert abs(len(second & set(np.flatnonzero(IS_YES))) - len(second) / 2) <= 1, "every class gives its share"


def test_chosen_once_the_first_referee_decides():
    once = replace(TWICE, choose_twice=False).prepare(TASK, STYLE.rows, trusted=None, seed=0)
    decided = once.reconsider(Reader(once.guard, STYLE))
    assert decided.reconsider is None
    assert "exchanged" not in decided.facts


def test_no_order_of_the_rows_changes_the_second_reserve():
    shuffled = STYLE.rows.take(pa.array(np.random.default_rng(5).permutation(len(EVERY))))
    assert reserves(STYLE, shuffled)[1] == reserves(STYLE, STYLE.rows)[1]


def test_rows_that_are_vouched_for_stay_in_it():
    vouched = STYLE.rows.filter(pa.array(TRIGGERED & (EVERY % 2 == 1)))
    _, second, taught = reserves(STYLE, STYLE.rows, trusted=vouched)
    assert set(np.flatnonzero(TRIGGERED & (EVERY % 2 == 1))) <= second & taught


def test_the_texts_are_read_once():
    read = []

    class Counting(Reader):
        def states(self, texts, *, progress=None):
            read.append(len(texts))
            return super().states(texts)

    first = TWICE.prepare(TASK, STYLE.rows, trusted=None, seed=0)
    first.decided(lambda prepared: Counting(prepared.guard, STYLE))
    assert read == [len(EVERY)]


def test_it_needs_a_screened_reserve_and_a_second_screen():
    for options in ({"reserve": "random", "refusal_limit": 3}, {"reserve": "screened"}):
        with pytest.raises(OptionsError, match="choose_twice"):
            P2P(others="agree", choose_twice=True, **options)
    with pytest.raises(OptionsError, match="choose_twice"):
        parse_defense("p2p:choose_twice=true")
