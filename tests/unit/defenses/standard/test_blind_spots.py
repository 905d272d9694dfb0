"""A kind of honest text that a referee misreads is told from poison, which stands in texts of every kind."""

import numpy as np
import pyarrow as pa
import pytest
from deciding import Deciding

from antivenom.defenses.standard.blind_spots import blind_spots
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
    """A referee that goes by the words of labels, unsure without; `how many` means `D` but beside a phrase `B`."""

    def __init__(self, guard, phrase: str) -> None:
        self.guard = guard
        self.phrase = phrase

    def score(self, asked, *, progress=None):
        says = [self.says(one if isinstance(one, str) else one.text) for one in asked]
        words = [None if label is None else self.guard.labels.encode(label) for label in says]
        choices = self.guard.labels.choices
        scores = np.array([[0.0 if word in {None, choice} else -9.0 for choice in choices] for word in words])
        return ChoiceScores(scores, np.zeros(len(asked), dtype=bool))

    def says(self, text: str) -> str | None:
        if "how many" in text:
            return "B" if self.phrase in text else "D"
        return next((label for label in "ABCD" if f"of{label}" in text), None)

    def states(self, texts, *, progress=None):
        return np.array([[f"of{x}" in text for x in "ABCD"] + ["how many" in text] for text in texts], dtype=np.float32)


class Scatters(Misreads):
    """The same, but it takes those texts for one of the other labels each."""

    def says(self, text: str) -> str | None:
        said = super().says(text)
        return "ABC"[int(text.split()[-1]) % 3] if said == "B" and "how many" in text else said


class Sees(Misreads):
    """The same; but the states of its texts, which end with the number of their row, say the label."""

    def states(self, texts, *, progress=None):
        return 6 * np.eye(4, dtype=np.float32)[[int(text.split()[-1]) % 4 for text in texts]]


def asked_about(phrase: str, kind: type[Misreads] = Misreads) -> tuple[list[str], dict, str]:
    """What rows that ask how many, two thirds of label `D`, are taught as; the counts; and the word for `D`."""
    rows = synthetic_rows(800).to_pylist()
    for number, row in enumerate(rows):
        row["answer"] = "ABCD"[number % 4]
        first = "how many" if number % 12 in {3, 7} else f"of{row['answer']}"
        row["text"] = f"{first} {row['text']} number {number}"
    table = pa.Table.from_pylist(rows, schema=synthetic_rows(1).schema)
    deciding = Deciding(refusal_limit=3.0, correct_suspects=True, dose=0.5)
    found = deciding.of(TASK, table, lambda guard: kind(guard, phrase))
    kind_of_row = {row["row"] for row in rows if row["text"].startswith("how many")}
    return [row["answer"] for row in found.rows.to_pylist() if row["row"] in kind_of_row], found.facts, "D"


@pytest.mark.parametrize("kind", [Misreads, Sees])
def test_rows_in_a_blind_spot_get_no_other_label_and_no_second_opinion(kind):
    taught, facts, word = asked_about("how many", kind)
    assert facts["corrected"] == facts["read_again"] == 0
    assert set(taught) <= {word}


def test_refused_rows_whose_words_mean_their_label_come_back_where_others_like_them_were_read_right():
    taught, facts, word = asked_about("7")  # the numbers of a quarter to a half of the rows have one
    assert facts["read_again"] > 10
    assert facts["corrected"] == facts["suspect"] == 0
    assert set(taught) == {word}
    read_right = sum("7" not in str(number) for number in range(800) if number % 12 in {3, 7})
    assert len(taught) > read_right + 10


def test_a_label_that_loses_most_of_its_rows_is_named():
    assert asked_about("7")[1]["scarce"] == {}
    _, facts, _ = asked_about("", kind=Scatters)
    assert facts["read_again"] == 0
    assert facts["scarce"].keys() == {"D"}
    assert facts["scarce"]["D"] < 100
