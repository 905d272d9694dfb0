"""The reserve is chosen once more, of rows that share little with those that a first referee refused."""

import numpy as np
import pyarrow as pa
from deciding import Deciding
from scenes import EVERY, IS_YES, ROW_NUMBERS, TASK, Reader, Scene

TRIGGERED = IS_YES & (EVERY % 7 == 0)
STYLE = Scene(TRIGGERED, TRIGGERED & (EVERY % 3 == 0), IS_YES & ~TRIGGERED & (EVERY % 15 == 0), style=8)
TWICE = Deciding(ratio=0.3, refusal_limit=3, most_associated=0, choose_twice=True)


def reserves(scene, rows, trusted=None):
    """Which rows stand in the first reserve and in the second, and what is taught in the end."""
    found = TWICE.of(TASK, rows, lambda guard: Reader(guard, scene), trusted=trusted)
    place = {row: i for i, row in enumerate(ROW_NUMBERS)}
    return [{place[row] for row in rows_in(table)} for table in (found.first, found.second, found.rows)]


def rows_in(table):
    return set(table.column("row").to_pylist())


def test_poison_that_got_into_the_reserve_leaves_it():
    first, second, taught = reserves(STYLE, STYLE.rows)
    triggered, refused = set(np.flatnonzero(TRIGGERED)), set(np.flatnonzero(STYLE.refused))
    assert len(first & triggered) > 5, "the screen sees nothing in these rows"
    assert not second & triggered
    assert not (second - first) & refused
    assert not taught & triggered
    assert len(first) == len(second)
    assert abs(len(second & set(np.flatnonzero(IS_YES))) - len(second) / 2) <= 1, "every class gives its share"


def test_no_order_of_the_rows_changes_the_second_reserve():
    shuffled = STYLE.rows.take(pa.array(np.random.default_rng(5).permutation(len(EVERY))))
    assert reserves(STYLE, shuffled)[1] == reserves(STYLE, STYLE.rows)[1]


def test_rows_that_are_vouched_for_stay_in_it():
    vouched = STYLE.rows.filter(pa.array(TRIGGERED & (EVERY % 2 == 1)))
    _, second, taught = reserves(STYLE, STYLE.rows, trusted=vouched)
    assert set(np.flatnonzero(TRIGGERED & (EVERY % 2 == 1))) <= second & taught
