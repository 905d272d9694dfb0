"""What is left of each class before the last fit."""

import pytest

from antivenom.core.errors import RowsError
from antivenom.data.rows import table_of
from antivenom.data.validation import LEAST_CLASS_ROWS
from antivenom.defenses.none import NoDefense
from antivenom.defenses.p2p import P2P
from antivenom.tasks.generation import Generation
from antivenom.tasks.task import Classification
from antivenom.testing import StandInLab, synthetic_rows
from antivenom.training.remaining import Remaining

TASK = Classification.for_labels(("negative", "positive"))


def remaining(rows, defense=P2P(reserve="random", ratio=0.5, others="drop")):
    return Remaining.of(rows, defense.prepare(TASK, rows, trusted=None, lab=StandInLab(0)))


def test_rows_are_counted_once_and_against_what_came():
    rows = synthetic_rows(200)
    found = remaining(rows, P2P(reserve="random", mode="union"))
    assert found.given == found.left
    assert sum(found.left.values()) == 200


@pytest.mark.parametrize(("per_class", "is_enough"), [(LEAST_CLASS_ROWS, True), (LEAST_CLASS_ROWS - 1, False)])
def test_a_class_of_too_few_rows_is_refused_with_every_class(per_class, is_enough):
    texts = [f"text {i}" for i in range(per_class + 300)]
    rows = table_of(texts, ["negative"] * per_class + ["positive"] * 300)
    found = remaining(rows, NoDefense())
    if is_enough:
        found.require_enough()
        return
    with pytest.raises(RowsError) as error:
        found.require_enough()
    assert [line.split(":")[0].strip() for line in error.value.details] == ["'negative'", "'positive'"]
    assert "--force" in error.value.mend


def test_free_answers_have_no_classes():
    rows = table_of(["a question", "another"], ["one", "two"])
    found = Remaining.of(rows, NoDefense().prepare(Generation(), rows, trusted=None, lab=StandInLab(0)))
    found.require_enough()
    assert found.warnings() == []


def test_trusted_rows_of_another_file_count_beside_the_others():
    rows, trusted = synthetic_rows(60), synthetic_rows(40, seed=7)
    prepared = NoDefense().prepare(TASK, rows, trusted=trusted, lab=StandInLab(0))
    numbers = prepared.rows.column("row").to_pylist()
    assert len(set(numbers)) == prepared.rows.num_rows == 100
    assert numbers[:60] == rows.column("row").to_pylist()
    assert sum(Remaining.of(rows, prepared).left.values()) == 100
