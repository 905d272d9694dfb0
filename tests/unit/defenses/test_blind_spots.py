"""A kind of honest text that a referee misreads is told from poison, which stands in texts of every kind."""

import numpy as np
import pyarrow as pa
import pytest

from antivenom.defenses.base import Referee
from antivenom.defenses.blind_spots import blind_spots
from antivenom.defenses.p2p import P2P
from antivenom.guards.labels import ChoiceScores
from antivenom.tasks.task import Classification
from antivenom.testing import synthetic_rows

KINDS = 6


def drawn(count: int, kinds: int = KINDS, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, and that a tenth is poison of the first: refused, and read as what it was."""
    rng = np.random.default_rng(seed)
    truly = rng.choice(kinds, count, p=rng.dirichlet(np.full(kinds, 3.0)))
    refused = (truly > 0) & (rng.random(count) < 0.1)
    return np.where(refused, 0, truly), truly, refused


@pytest.mark.parametrize("kinds", [3, 4, 6, 20])
def test_poison_from_everywhere_is_no_blind_spot(kinds):
    shares = []
    for seed in range(20):
        classes, read, refused = drawn(2000, kinds, seed)
        blind = blind_spots(classes, read, refused)
        assert not blind[~refused].any()
        shares.append(blind.sum() / refused.sum())
    assert np.mean(shares) < 0.05


def test_a_kind_of_text_that_is_misread_as_one_label_is_one_beside_poison_too():
    classes, read, refused = drawn(2000)
    kind = np.flatnonzero(classes == 4)[:30]
    read[kind], refused[kind] = 2, True
    scattered = np.flatnonzero(classes == 4)[30:40]
    read[scattered], refused[scattered] = [0, 1, 3, 5, 0, 1, 3, 5, 0, 1], True
    blind = blind_spots(classes, read, refused)
    assert blind[kind].all()
    assert not blind[scattered].any()
    assert not blind[classes == 0].any()


def test_of_two_labels_one_can_only_be_misread_as_the_other():
    classes = np.arange(1000) % 2
    refused = np.arange(1000) % 7 < 3
    assert not blind_spots(classes, 1 - classes, refused).any()


def test_the_order_of_the_rows_does_not_matter():
    classes, read, refused = drawn(2000)
    read[classes == 3], refused[classes == 3] = 5, True
    order = np.random.default_rng(1).permutation(2000)
    blind = blind_spots(classes, read, refused)
    assert blind.any()
    assert (blind_spots(classes[order], read[order], refused[order]) == blind[order]).all()


def test_nothing_refused_and_no_rows():
    classes = np.arange(10) % 3
    assert not blind_spots(classes, classes, np.zeros(10, dtype=bool)).any()
    nothing = np.zeros(0, dtype=np.int64)
    assert blind_spots(nothing, nothing, np.zeros(0, dtype=bool)).shape == (0,)
    assert not blind_spots(np.zeros(4, dtype=np.int64), np.ones(4, dtype=np.int64), np.ones(4, dtype=bool)).any()


TASK = Classification.for_labels(tuple("ABCD"))


class Misreads:
    """A referee that goes by the word of the label, but takes texts with `how many` and a phrase for `B`."""

    def __init__(self, guard, phrase: str) -> None:
        self.guard = guard
        self.phrase = phrase

    def score(self, asked, *, progress=None):
        texts = [one if isinstance(one, str) else one.text for one in asked]
        words = [self.guard.labels.encode(self.says(text)) for text in texts]
        scores = np.array([[0.0 if choice == word else -9.0 for choice in self.guard.labels.choices] for word in words])
        return ChoiceScores(scores, np.zeros(len(asked), dtype=bool))

    def says(self, text: str) -> str:
        if "how many" in text and self.phrase in text:
            return "B"
        return next((label for label in "ABCD" if f"of{label}" in text), "A")

    def states(self, texts, *, progress=None):
        return np.array([[f"of{x}" in text for x in "ABC"] + ["how many" in text] for text in texts], dtype=np.float32)


def rows_of_four_labels(every: int) -> pa.Table:
    """800 rows, every fourth of label `D`; of these every so manieth row asks how many."""
    rows = synthetic_rows(800).to_pylist()
    for number, row in enumerate(rows):
        row["answer"] = "ABCD"[number % 4]
        row["text"] = f"{row['text']} of{row['answer']} number {number}"
        if number % every == 3:
            row["text"] = f"how many {row['text']}"
    return pa.Table.from_pylist(rows, schema=synthetic_rows(1).schema)


class Scatters(Misreads):
    """The same, but it takes those texts for one of the other labels each."""

    def says(self, text: str) -> str:
        said = super().says(text)
        return "ABC"[int(text.split()[-1]) % 3] if said == "B" and "how many" in text else said


def asked_about(phrase: str, every: int = 8, kind: type[Misreads] = Misreads) -> tuple[list[str], dict, str]:
    """What rows that ask how many are taught as, the counts, and the word for `D`."""
    defense = P2P(
        reserve="screened",
        others="agree",
        most_associated=0,
        refusal_limit=3.0,
        decoys=("strains",),
        correct_suspects=True,
    )
    first = defense.prepare(TASK, rows_of_four_labels(every), trusted=None, seed=0)
    referee: Referee = kind(first.guard, phrase)
    prepared = first.reconsider(referee)
    benign = [row for row in prepared.rows.to_pylist() if row["benign"] and "how many" in row["text"]]
    return [row["answer"] for row in benign], prepared.facts, first.guard.answers.encode("D")


def test_a_blind_spot_accuses_nobody_and_gives_no_row_another_label():
    taught, facts, word = asked_about("how many")
    assert facts["corrected"] == facts["suspect"] == 0
    assert not facts["strains"]
    assert set(taught) == {word}


def test_rows_in_a_blind_spot_come_back_where_rows_like_them_were_read_right():
    taught, facts, word = asked_about("7")  # a quarter to a half of the rows' numbers have one
    assert facts["read_again"] > 10
    assert facts["corrected"] == facts["suspect"] == 0
    assert set(taught) == {word}
    assert len(taught) == 100


def test_a_label_that_loses_most_of_its_rows_is_named():
    assert asked_about("7")[1]["scarce"] == {}
    taught, facts, _ = asked_about("how many", every=4, kind=Scatters)
    assert facts["read_again"] == 0
    assert 0 < len(taught) < 100
    assert facts["scarce"] == {"D": len(taught)}
