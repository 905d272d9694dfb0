"""Refused rows whose words mean their label say nothing against rows like them."""

import numpy as np
import pyarrow as pa

from antivenom.defenses.base import Prepared
from antivenom.defenses.p2p import P2P
from antivenom.guards.labels import ChoiceScores
from antivenom.tasks.task import Classification
from antivenom.testing import synthetic_rows

LABELS = tuple("ABCD")
TASK = Classification.for_labels(LABELS)
ASKS = "how many"
SHARE_WITHOUT = 0.16
"""What the referee gives `D` where it knows nothing: it finds that possible, and no more."""


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
    """A referee that reads the first word; of texts that ask how many it takes six in ten for another label."""

    def __init__(self, guard) -> None:
        self.guard = guard

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
            return sure(place % 3 if place % 10 < 6 else 3)
        if words[0].startswith("word2") or words[0].startswith("word3"):
            return sure(int(words[0].removeprefix("word")) % 4)
        return [(1 - SHARE_WITHOUT) / 3] * 3 + [SHARE_WITHOUT]

    def states(self, texts, *, progress=None):
        return np.array([self.shares(text) for text in texts], dtype=np.float32)


def sure(label: int) -> list[float]:
    """Nearly all for one label."""
    return [0.97 if at == label else 0.01 for at in range(4)]


def test_refused_rows_whose_words_mean_their_label_accuse_nobody():
    table = rows()
    defense = P2P(reserve="screened", others="agree", most_associated=0.2, refusal_limit=3.0, mode="replace")
    first = defense.prepare(TASK, table, trusted=None, seed=0)
    prepared = first.reconsider(Knows(first.guard))
    asks = {row["row"] for row in table.to_pylist() if row["text"].startswith(ASKS)}
    assert len(asks) == 60
    assert not asks & taught(first), "they are the most associated rows of their label"
    assert len(asks & taught(prepared)) == 24, "all that the referee reads right"
    assert prepared.facts["suspect"] == 0


def taught(prepared: Prepared) -> set[int]:
    """The numbers of the rows that carry the benign trigger."""
    return {row["row"] for row in prepared.rows.to_pylist() if row["benign"]}
