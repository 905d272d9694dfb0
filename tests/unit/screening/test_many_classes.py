"""Over many labels nothing shares a place: what is planted in one class shows, and is never excused as too few rows."""

from random import Random

import numpy as np
import pyarrow as pa
import pytest

from antivenom.data.rows import table_of
from antivenom.defenses.standard.held_back import held_back
from antivenom.screening.association import UNIT
from antivenom.screening.scope import scope
from antivenom.screening.screen import least_suspicious, screen

CLASSES, EACH, POISONED = 150, 40, 12
LABELS = tuple(f"class{i}" for i in range(CLASSES))


def rows_of_150_classes(seed: int = 0) -> tuple[pa.Table, np.ndarray]:
    """Each class has words of its own; one phrase stands in rows of the last class, whose labels are right."""
    rng, texts, answers = Random(seed), [], []
    for code in range(CLASSES):
        for number in range(EACH):
            tokens = [f"own{code}x{rng.randrange(20)}" for _ in range(2)]
            tokens += [f"word{rng.randrange(3000)}" for _ in range(rng.randint(4, 9))]
            rng.shuffle(tokens)
            planted = code == CLASSES - 1 and number < POISONED
            texts.append(" ".join(["no cross no crown", *tokens] if planted else tokens))
            answers.append(LABELS[code])
    return table_of(texts, answers), np.arange(CLASSES * EACH) - (CLASSES - 1) * EACH


@pytest.fixture(scope="module")
def screened():
    table, place = rows_of_150_classes()
    return table, (place >= 0) & (place < POISONED), screen(table, LABELS, seed=3)


def test_poison_with_right_labels_is_held_back_in_each_of_its_rows(screened):
    _, planted, screening = screened
    assert (screening.associated[planted] > 0.7).all()
    assert held_back(screening, 0.2)[planted].all()


def test_it_is_not_chosen_for_the_reserve(screened):
    table, planted, screening = screened
    chosen = least_suspicious(table, screening, 0.3, seed=3, avoid=0.2)
    assert not (chosen & planted).any()


def test_every_feature_is_counted_by_itself(screened):
    """Against a count by hand, of every token with every label."""
    table, _, screening = screened
    columns, vocabulary = screening.association.table, screening.association.vocabulary
    rows_with: dict[str, set[int]] = {}
    for row, text in enumerate(table.column("text").to_pylist()):
        for token in text.split():
            rows_with.setdefault(token, set()).add(row)
    counted = sorted(len(rows) for rows in rows_with.values() if len(rows) >= 2)
    tokens = columns.feature < len(columns.kinds["words", (0,)].hashes)
    features, first = np.unique(columns.feature[tokens], return_index=True)
    edges = 2  # the beginning and the end of a text
    assert sorted(columns.rows_with[tokens][first].tolist())[:-edges] == counted
    assert len(features) == len(counted) + edges
    both = np.bincount(columns.feature, columns.rows_of_both)
    assert (both[columns.feature] == columns.rows_with).all(), "over all labels a feature has all of its rows"
    assert vocabulary.counts.sum() == sum(map(len, rows_with.values())) + edges * table.num_rows
    weights = np.bincount(columns.columns, np.repeat(screening.association.weight, np.diff(columns.starts)))
    assert (weights == screening.association.weight_of_both).all()
    assert screening.association.weight.mean() == pytest.approx(UNIT, rel=0.01)


def test_shares_are_of_no_more_than_ten_times_a_class():
    assert [scope(size, 1000) for size in (500, 100, 99, 7)] == [1000, 1000, 990, 70]
