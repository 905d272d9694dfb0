"""Rows whose words mean their label: what is refused of them says nothing against others; else all are held back."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pyarrow as pa
from deciding import Deciding, Decision

from antivenom.guards.guard import Guard
from antivenom.guards.labels import ChoiceScores
from antivenom.models.lab import Fitted
from antivenom.tasks.task import Classification
from antivenom.testing import synthetic_rows

LABELS = tuple("ABCD")
TASK = Classification.for_labels(LABELS)
ASKS = "how many"


def rows() -> pa.Table:
    """1,200 rows whose first word, one of forty, says the label; a fifth of `D`'s begin with `how many` instead."""
    table = synthetic_rows(1200).to_pylist()
    for number, row in enumerate(table):
        place, label = divmod(number, 4)
        row["answer"] = LABELS[label]
        first = ASKS if label == 3 and place % 5 == 0 else f"word{200 + 4 * (place % 40) + label}"
        row["text"] = f"{first} {row['text']} number {number}"
    return pa.Table.from_pylist(table, schema=synthetic_rows(1).schema)


class Knows:
    """A referee that reads the first word; of texts that ask how many it takes some in ten for another label."""

    def __init__(self, guard, *, wrong: int, without: float) -> None:
        self.guard = guard
        self.wrong = wrong
        self.without = without
        """What it gives `D` where it knows nothing; 0.15 is possible, and no more."""

    def score(self, asked, *, progress=None):
        shares = np.array([self.shares(one if isinstance(one, str) else one.text) for one in asked])
        of_label = {self.guard.labels.encode(label): place for place, label in enumerate(LABELS)}
        columns = [of_label.get(choice) for choice in self.guard.labels.choices]
        scores = np.stack([np.full(len(asked), -30.0) if at is None else np.log(shares[:, at]) for at in columns], 1)
        return ChoiceScores(scores, np.zeros(len(asked), dtype=bool))

    def shares(self, text: str) -> list[float]:
        words = text.split()
        if ASKS in text:
            place = int(words[-1]) // 20  # of the rows that ask how many
            return sure(place % 3 if place % 10 < self.wrong else 3)
        if words[0].startswith("word2") or words[0].startswith("word3"):
            return sure(int(words[0].removeprefix("word")) % 4)
        return [(1 - self.without) / 3] * 3 + [self.without]

    def states(self, texts, *, progress=None):
        """They say the label: a second opinion is always right."""
        return np.eye(4, dtype=np.float32)[[int(text.split()[-1]) % 4 for text in texts]]


def sure(label: int) -> list[float]:
    """Nearly all for one label."""
    return [0.97 if at == label else 0.01 for at in range(4)]


def asked_how_many(referee: Callable[[Guard], Fitted]) -> tuple[int, Decision]:
    """How many of the 60 rows that ask how many are taught, none of them in the reserve; and all that is."""
    table = rows()
    # The seed draws which texts are asked about; with some of them too few of the telling ones are.
    found = Deciding(refusal_limit=3.0).of(TASK, table, referee, seed=1)
    asks = {row["row"] for row in table.to_pylist() if row["text"].startswith(ASKS)}
    assert len(asks) == 60
    assert not asks & taught(found.first), "they are the most associated rows of their label"
    return len(asks & taught(found.rows)), found


def test_refused_rows_whose_words_mean_their_label_accuse_nobody_and_come_back():
    count, prepared = asked_how_many(partial(Knows, wrong=6, without=0.16))
    assert prepared.facts["suspect"] == 0
    assert prepared.facts["excused"] == 24, "all that the referee reads right"
    assert count == 60
    assert prepared.facts["read_again"] == 36


def test_whose_words_need_not_mean_it_are_held_back_whatever_a_second_opinion_says():
    count, prepared = asked_how_many(partial(Knows, wrong=2, without=0.9))
    assert count == prepared.facts["read_again"] == prepared.facts["excused"] == 0


def taught(rows: pa.Table) -> set[int]:
    """The numbers of rows."""
    return set(rows.column("row").to_pylist())
