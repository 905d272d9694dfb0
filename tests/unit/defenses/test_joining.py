"""Which rows join, and which of them get another label."""

import numpy as np
import pytest
from screen_rows import LABELS, make_rows

from antivenom.data.rows import with_columns
from antivenom.defenses.p2p import P2P
from antivenom.guards.labels import ChoiceScores
from antivenom.tasks.task import Classification

TASK = Classification.for_labels(LABELS)
COUNT = 800
EVERY = np.arange(COUNT)
IS_YES = np.array(make_rows(COUNT).column("answer").to_pylist()) == "yes"
TRIGGERED = IS_YES & (EVERY % 7 == 0)
"""Rows of the attacker: they say "no" and are labelled "yes"."""
LET_IN = TRIGGERED & (EVERY % 3 == 0)
"""Those whose label the referee finds possible."""
HARD = IS_YES & ~TRIGGERED & (EVERY % 15 == 0)
"""Honest rows that the referee misreads."""


def rows_with(trigger: str):
    """Rows with no word in common but the trigger's."""
    texts = [f"own{i} words{i}" + trigger * int(TRIGGERED[i]) for i in range(COUNT)]
    return with_columns(make_rows(COUNT), text=texts)


class Reader:
    """A referee that refuses the attacker's rows, but for a few, and hard ones; it sees a style in the attacker's."""

    def __init__(self, guard, rows):
        self.guard = guard
        self.number = {text: i for i, text in enumerate(rows.column("text").to_pylist())}
        self.seen = np.random.default_rng(0).normal(size=(COUNT, 16)).astype(np.float32)
        self.seen[:, 0] += 8 * TRIGGERED
        self.seen[:, 1] += 3 * (IS_YES & ~HARD)
        self.reads_yes = IS_YES & ~HARD & (~TRIGGERED | LET_IN)

    def score(self, asked, *, progress=None):
        choices = self.guard.labels.choices
        scores = np.full((len(asked), len(choices)), -20.0)
        for place, one in enumerate(asked):
            read = LABELS[0 if (LABELS[0] == "yes") == self.reads_yes[self.number[one]] else 1]
            scores[place, choices.index(self.guard.labels.encode(read))] = 0
        return ChoiceScores(scores, np.zeros(len(asked), dtype=bool))

    def states(self, texts, *, progress=None):
        return self.seen[[self.number[text] for text in texts]]


def decide(trigger: str, *, correct_suspects: bool):
    """What is said to each row that is trained on, and what was done."""
    rows = rows_with(trigger)
    defense = P2P(
        reserve="trusted",
        ratio=0.1,
        others="agree",
        mode="replace",
        most_associated=0,
        refusal_limit=3,
        correct_suspects=correct_suspects,
    )
    trusted = rows.filter(~TRIGGERED & ~HARD & (EVERY % 9 == 1))
    first = defense.prepare(TASK, rows, trusted=trusted, seed=0)
    prepared = first.reconsider(Reader(first.guard, rows))
    numbers = {text: i for i, text in enumerate(rows.column("text").to_pylist())}
    taught = {
        numbers[row["text"]]: row["answer"] == prepared.guard.answers.encode("yes") for row in prepared.rows.to_pylist()
    }
    return taught, prepared.facts


def test_refused_rows_that_read_alike_come_back_with_the_label_that_is_read_in_them():
    without, facts = decide("", correct_suspects=False)
    assert facts["corrected"] == 0
    assert all(taught == IS_YES[i] for i, taught in without.items())
    assert np.isin(EVERY[TRIGGERED & ~LET_IN], list(without)).sum() == 0
    taught, facts = decide("", correct_suspects=True)
    changed = {i for i, said in taught.items() if said != IS_YES[i]}
    assert facts["corrected"] == len(changed) == len(taught) - len(without)
    assert taught.keys() - changed == without.keys(), "what was left out comes back, nothing else"
    assert changed <= set(EVERY[TRIGGERED & ~LET_IN]) | set(EVERY[HARD])
    assert np.isin(EVERY[TRIGGERED & ~LET_IN], list(changed)).mean() > 0.8
    assert facts["rows"] + facts["left_out"] == COUNT


@pytest.mark.parametrize("correct_suspects", [False, True])
def test_what_one_string_gives_away_stays_out(correct_suspects):
    taught, facts = decide(" passed on by word of mouth", correct_suspects=correct_suspects)
    assert not np.isin(EVERY[TRIGGERED], list(taught)).any()
    assert facts["corrected"] == sum(said != IS_YES[i] for i, said in taught.items())
