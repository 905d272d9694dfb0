"""What is done to the rows in a way that does not matter does not matter to the decisions."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from antivenom.attacks import parse_attack
from antivenom.core.errors import RowsError
from antivenom.data.rows import table_of, with_columns
from antivenom.defenses.standard import Standard
from antivenom.defenses.standard.disagreement import flooded
from antivenom.screening.screen import least_suspicious, screen
from antivenom.tasks.task import Classification
from antivenom.testing import StandInLab, synthetic_rows

LABELS = ("negative", "positive")
TASK = Classification.for_labels(LABELS)
POISONED = parse_attack("addsent:rate=0.05;target=positive").poison(TASK, synthetic_rows(400), seed=1)


def taught(rows: pa.Table, task=TASK, seed: int = 3) -> dict[int, str]:
    """What each row that is trained on is taught as."""
    prepared = Standard().prepare(task, rows, trusted=None, lab=StandInLab(seed))
    return dict(zip(prepared.rows["row"].to_pylist(), prepared.rows["answer"].to_pylist(), strict=True))


def test_another_order_of_the_labels_changes_no_decision():
    other = Classification.for_labels(tuple(reversed(LABELS)))
    assert taught(POISONED.rows, other) == taught(POISONED.rows)


def test_other_names_of_the_labels_are_other_names_in_the_decisions():
    named = {"negative": "thumbs down", "positive": "thumbs up"}
    rows = with_columns(POISONED.rows, answer=[named[one] for one in POISONED.rows["answer"].to_pylist()])
    found = taught(rows, Classification.for_labels(tuple(named.values())))
    expected = {row: named[label] for row, label in taught(POISONED.rows).items()}
    # Of equally suspicious rows a hash of text and label decides, and a referee is taught those.
    assert len(found.items() ^ expected.items()) <= 0.02 * POISONED.rows.num_rows


def test_a_consistent_renaming_of_words_moves_few_decisions():
    """Draws are keyed by texts, so a few rows near a bound may move; poison stays as it was."""
    renamed = with_columns(
        POISONED.rows,
        text=[" ".join(f"x{word}" for word in text.split()) for text in POISONED.rows["text"].to_pylist()],
    )
    before, after = set(taught(POISONED.rows)), set(taught(renamed))
    poisoned = set(POISONED.numbers)
    assert len(before ^ after) <= 0.1 * POISONED.rows.num_rows
    assert abs(len(before & poisoned) - len(after & poisoned)) <= 1


def test_rows_ten_times_over_keep_the_share_of_poison_in_the_reserve():
    once = POISONED.rows
    often = table_of(once["text"].to_pylist() * 10, once["answer"].to_pylist() * 10)
    is_poison = np.isin(np.arange(once.num_rows), POISONED.indices)
    shares = []
    for rows, poison in ((once, is_poison), (often, np.tile(is_poison, 10))):
        chosen = least_suspicious(rows, screen(rows, LABELS, seed=3), 0.3, avoid=0.2, seed=3)
        assert 0.25 <= chosen.mean() <= 0.35
        shares.append(poison[chosen].mean())
    assert max(shares) <= 0.01


def test_a_flooded_class_is_refused_loudly(monkeypatch: pytest.MonkeyPatch):
    """All but one of the safest rows of a class suspect, or all of them: neither passes in silence."""
    from antivenom.defenses.standard import decide

    find = decide.find_suspects

    def everything(counts, *arguments, **options):
        found = find(counts, *arguments, **options)
        return replace(found, rows=found.rows | (np.array(POISONED.rows["answer"].to_pylist()) == "positive"))

    monkeypatch.setattr(decide, "find_suspects", everything)
    with pytest.raises(RowsError, match="'positive'") as caught:
        taught(POISONED.rows)
    assert "--trusted" in caught.value.mend


@pytest.mark.parametrize(("suspect", "lost"), [(100, [0]), (99, [0]), (50, []), (0, [])])
def test_all_and_all_but_one_are_a_flood(suspect, lost):
    classes, reserve = np.repeat([0, 1], 100), np.ones(200, dtype=bool)
    assert flooded(np.arange(200) < suspect, classes, reserve).tolist() == lost
