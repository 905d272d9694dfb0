"""Rows are held back whose strong features go with their label alone."""

import numpy as np
import pyarrow as pa
import pytest
from screen_rows import LABELS, make_rows

from antivenom.data.rows import with_columns
from antivenom.defenses.standard.held_back import held_back
from antivenom.screening.screen import screen

TRIGGER = "word950 word951"  # spelled like the other words, so that only the words stand out


def rows_with(phrases: dict[str, int]) -> tuple[pa.Table, dict[str, np.ndarray]]:
    """800 rows in which so many of class `yes` begin with each phrase, no row with two."""
    table = make_rows(800)
    texts, answers = (table.column(name).to_pylist() for name in ("text", "answer"))
    of_class = iter(i for i, answer in enumerate(answers) if answer == "yes")
    chosen = {phrase: np.array([next(of_class) for _ in range(count)]) for phrase, count in phrases.items()}
    for phrase, rows in chosen.items():
        for row in rows:
            texts[row] = f"{phrase} {texts[row]}"
    return with_columns(table, text=texts), chosen


@pytest.mark.parametrize(("with_another_label", "is_held_back"), [(0, True), (8, True), (30, False)])
def test_what_stands_with_another_label_too_is_no_trigger(with_another_label, is_held_back):
    table, chosen = rows_with({TRIGGER: 60})
    texts, answers = (table.column(name).to_pylist() for name in ("text", "answer"))
    for row in [row for row, answer in enumerate(answers) if answer == "no"][:with_another_label]:
        texts[row] = f"{TRIGGER} {texts[row]}"
    screening = screen(with_columns(table, text=texts), LABELS, seed=0)
    rows = held_back(screening, 0.2)[chosen[TRIGGER]]
    assert rows.all() if is_held_back else rows.mean() < 0.3, "but for words of the label"


@pytest.mark.parametrize("share", [0.1, 0.22, 0.3, 0.38, 0.55, 0.7])
@pytest.mark.parametrize("seed", range(3))
def test_a_trigger_in_more_rows_than_the_share_is_held_back_in_all_of_them(share: float, seed: int):
    """Right labels, one word; the bound falls among its rows, which differ a little in strength."""
    table = make_rows(800, seed=seed)
    own = np.flatnonzero(np.array(table.column("answer").to_pylist()) == "yes")
    chosen = np.random.default_rng(seed).permutation(own)[: round(share * len(own))]
    texts = table.column("text").to_pylist()
    for row in chosen:
        texts[row] = f"{texts[row]} lantern"
    screening = screen(with_columns(table, text=texts), LABELS, seed=0)
    assert held_back(screening, 0.2)[chosen].all()
