"""Antidotes balance the poison that is left, and no more."""

import numpy as np
import pytest
from screen_rows import LABELS, make_rows, plant

from antivenom.defenses.antidotes import antidotes
from antivenom.defenses.p2p import P2P
from antivenom.defenses.screen import screen
from antivenom.labels import ChoiceScores
from antivenom.task import Classification


def choose(leaked: int):
    """Keep the honest rows and some planted ones; offer all other planted ones, the surest last."""
    table, planted = plant(make_rows(800), 0.1)
    is_planted = np.isin(table.column("row").to_numpy(), list(planted))
    places = np.flatnonzero(is_planted)
    kept = ~is_planted
    kept[places[:leaked]] = True
    offered = places[leaked:]
    return antidotes(table, screen(table, LABELS), kept, offered, np.linspace(0.8, 1, len(offered)))


def test_where_no_kept_row_has_the_feature_none_is_taken():
    assert not choose(0).any()


@pytest.mark.parametrize("leaked", [5, 20])
def test_as_many_are_taken_as_balance_those_that_leaked(leaked):
    taken = choose(leaked)
    assert taken.sum() == leaked
    assert taken[-leaked:].all(), "the surest first"


class Sure:
    """A referee that calls every text with the trigger `no` and agrees with no other."""

    def __init__(self, guard) -> None:
        self.guard = guard

    def score(self, asked, *, progress=None):
        words = [self.guard.labels.encode("no")] * len(asked)
        scores = [[0.0 if choice == word else -20.0 for choice in self.guard.labels.choices] for word in words]
        return ChoiceScores(np.array(scores), np.zeros(len(asked), dtype=bool))


def test_corrected_rows_join_with_the_label_of_the_referee():
    table, planted = plant(make_rows(800), 0.1)
    vouched = table.filter(np.isin(table.column("row").to_numpy(), sorted(planted)[:10]))  # a mistake of the user
    defense = P2P(reserve="screened", ratio=0.4, others="agree", contradicted="correct", mode="replace")
    first = defense.prepare(Classification.for_labels(LABELS), table, trusted=vouched, seed=0)
    prepared = first.reconsider(Sure(first.guard))
    given = {row["text"]: row["answer"] for row in prepared.rows.to_pylist()}
    trusted = set(vouched.column("text").to_pylist())
    suspects = [r["text"] for r in table.to_pylist() if r["row"] in planted and r["text"] not in trusted]
    corrected = [text for text in suspects if text in given]
    assert 1 <= len(corrected) <= prepared.facts["corrected"]
    assert all(given[text] == prepared.guard.answers.encode("no") for text in corrected)
