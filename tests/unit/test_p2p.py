"""The reconstruction D -> D*: properties for any number of classes, both modes, any cut of the table."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from antivenom.core.errors import OptionsError, RowsError
from antivenom.core.report import Report
from antivenom.data.rows import table_of
from antivenom.data.sampling import hold_out, label_codes, quota, random_reserve, same_rows
from antivenom.defenses.base import rebuild
from antivenom.defenses.none import NoDefense
from antivenom.defenses.p2p import P2P
from antivenom.guards.labels import LabelMap
from antivenom.guards.secret import PAPER_SECRET, Secret
from antivenom.tasks.task import Classification
from antivenom.testing import StandInLab


@st.composite
def data_sets(draw):
    """A task of 2 to 12 classes, and rows of which every class has at least one."""
    n = draw(st.integers(2, 12))
    labels = tuple(f"class {i}" for i in range(n))
    answers = list(labels) + draw(st.lists(st.sampled_from(labels), max_size=40))
    texts = [draw(st.sampled_from(["a", "b c", "ü", "d\ne"])) + f" {draw(st.integers(0, 60))}" for _ in answers]
    return Classification.for_labels(labels), table_of(texts, answers)


def bag(table: pa.Table) -> Counter:
    return Counter((r["text"], r["answer"], r["benign"]) for r in table.to_pylist())


@given(data_sets(), st.floats(0.01, 1), st.sampled_from(["union", "replace"]), st.integers(0, 9))
def test_reconstruction(data, ratio, mode, seed):
    task, table = data
    n = len(task.labels)
    defense = P2P(reserve="random", ratio=ratio, mode=mode)
    prepared = defense.prepare(task, table, trusted=None, lab=StandInLab(seed))
    chosen = random_reserve(table, task.labels, ratio, seed=seed)
    counts = Counter(table.column("answer").to_pylist())
    assert int(chosen.sum()) == sum(quota(count, ratio) for count in counts.values()) == prepared.facts["rows"]
    assert prepared.rows.num_rows == table.num_rows + (int(chosen.sum()) if mode == "union" else 0)
    place = {word: i for i, word in enumerate(task.verbalizers + task.extended)}
    originals = {row["row"]: row for row in table.to_pylist()}
    rows = prepared.rows.to_pylist()
    said = prepared.guard.said([row["answer"] for row in rows], [row["benign"] for row in rows])
    for row, word in zip(rows, said, strict=True):
        code, original = place[word], originals[row["row"]]
        assert (code >= n) is row["benign"], "labels are in the extended space exactly on benign rows"
        assert task.labels[code % n] == original["answer"]
        assert row["text"] == original["text"], "the benign trigger is put in when the prompt is rendered"
    ordinary = prepared.rows.filter(pa.compute.invert(prepared.rows.column("benign"))).column("row").to_pylist()
    kept = table.column("row").to_pylist() if mode == "union" else table.filter(pa.array(~chosen))["row"].to_pylist()
    assert ordinary == kept


@given(data_sets(), st.lists(st.integers(0, 52), max_size=6), st.sampled_from(["union", "replace"]))
def test_chunks_do_not_matter(data, cuts, mode):
    task, table = data
    edges = [0, *sorted(min(c, table.num_rows) for c in cuts), table.num_rows]
    pieces = pa.concat_tables([table.slice(a, b - a) for a, b in pairwise(edges)])
    defense = P2P(reserve="random", mode=mode)
    whole = defense.prepare(task, table, trusted=None, lab=StandInLab(0))
    cut = defense.prepare(task, pieces, trusted=None, lab=StandInLab(0))
    assert whole.rows.equals(cut.rows)
    assert whole.facts == cut.facts


@given(data_sets(), st.integers(1, 52), st.sampled_from(["union", "replace"]))
def test_a_table_may_be_rebuilt_in_pieces(data, cut, mode):
    task, table = data
    chosen = random_reserve(table, task.labels, 0.3, seed=0)
    pieces = [rebuild(table.slice(a, cut), chosen[a : a + cut], mode) for a in range(0, table.num_rows, cut)]
    assert pa.concat_tables(pieces).equals(rebuild(table, chosen, mode))


@given(data_sets(), st.randoms())
def test_order_does_not_matter(data, rng):
    task, table = data
    order = list(range(table.num_rows))
    rng.shuffle(order)
    defense = P2P(reserve="random")
    expected = bag(defense.prepare(task, table, trusted=None, lab=StandInLab(0)).rows)
    assert bag(defense.prepare(task, table.take(order), trusted=None, lab=StandInLab(0)).rows) == expected


@given(st.integers(2, 12))
def test_h_then_pi_is_the_identity(n):
    labels = LabelMap.extended(Classification.for_labels([f"class {i}" for i in range(n)]))
    assert labels.allowed == tuple(range(n, 2 * n))
    for number, label in enumerate(labels.labels):
        word = labels.encode(label)
        assert labels.choices.index(word) == number + n
        assert labels.meaning[labels.choices.index(word)] == number
        assert labels.plain(label) == labels.choices[number]
    with pytest.raises(ValueError, match="not in"):
        labels.encode(labels.choices[0])


@given(data_sets(), st.floats(0.05, 1), st.integers(0, 5))
def test_the_trusted_reserve_holds_trusted_rows_only(data, ratio, seed):
    task, table = data
    trusted = table_of([f"vouched {i}" for i in range(len(task.labels) * 3)], list(task.labels) * 3)
    prepared = P2P(ratio=ratio).prepare(task, table, trusted=trusted, lab=StandInLab(seed))
    benign = prepared.rows.filter(prepared.rows.column("benign")).column("text").to_pylist()
    assert all(text.startswith("vouched") for text in benign)
    assert len(benign) == prepared.facts["rows"]
    assert prepared.rows.num_rows == table.num_rows + trusted.num_rows + len(benign)


def test_trusted_rows_that_stand_in_the_data_are_not_counted_twice(task, rows):
    trusted = rows.slice(0, 50)
    prepared = P2P(mode="replace").prepare(task, rows, trusted=trusted, lab=StandInLab(0))
    assert prepared.rows.num_rows == rows.num_rows
    assert prepared.facts["rows"] == 50
    none = NoDefense().prepare(task, rows, trusted=trusted, lab=StandInLab(0))
    assert none.rows.num_rows == rows.num_rows
    assert NoDefense().prepare(task, rows.slice(50), trusted=trusted, lab=StandInLab(0)).rows.num_rows == rows.num_rows


def test_the_reserve_depends_on_the_seed_and_covers_all_classes_alike(rows, task):
    first, other = (random_reserve(rows, task.labels, 0.25, seed=seed) for seed in (0, 1))
    assert (first != other).any()
    assert np.bincount(label_codes(rows, task.labels)[first]).tolist() == [25, 25]


@pytest.mark.parametrize(
    ("count", "ratio", "taken"), [(0, 0.5, 0), (1, 0.01, 1), (10, 0.25, 2), (4, 1, 4), (3, 0.5, 2)]
)
def test_quota(count, ratio, taken):
    assert quota(count, ratio) == taken


def test_same_rows_compares_text_and_answer():
    table = table_of(["a", "a", "b"], ["x", "y", "x"])
    assert same_rows(table, table_of(["a"], ["y"])).tolist() == [False, True, False]
    assert same_rows(table, table.slice(0, 0)).tolist() == [False] * 3


@pytest.mark.parametrize(
    "options",
    [
        {"ratio": 0},
        {"ratio": 1.1},
        {"ratio": float("nan")},
        {"secret": Secret(" ")},
        {"cue": "split", "secret": Secret("Tell me:")},
    ],
)
def test_bad_options(options):
    with pytest.raises(OptionsError):
        P2P(**options)


@pytest.mark.parametrize("trusted", [None, table_of([], [])])
def test_trusted_rows_are_asked_for(task, rows, trusted):
    with pytest.raises(OptionsError, match="no trusted rows were given") as caught:
        P2P().prepare(task, rows, trusted=trusted, lab=StandInLab(0))
    assert "--trusted FILE" in caught.value.mend


def test_a_class_without_reserve_is_named(task, rows):
    with pytest.raises(RowsError, match="has the label 'positive'"):
        P2P().prepare(task, rows, trusted=table_of(["a"], ["negative"]), lab=StandInLab(0))


def test_check_warns_of_texts_that_hold_the_benign_trigger_or_an_extended_word(task):
    texts = ["one BAD thing and one good thing", "THE query currently entered is: x", "nothing"]
    report = Report("rows", kept=3)
    P2P(secret=PAPER_SECRET).check(task, table_of(texts, ["negative", "positive", "positive"]), report)
    found = {key: (finding.count, finding.rows) for key, finding in report.findings.items()}
    assert found == {
        "warning:text already contains the benign trigger": (1, [2]),
        "warning:text already contains a word of the second label space": (1, [1]),
    }
    assert "query" not in str(report)


@pytest.mark.parametrize("reserve", ["random", "screened"])
def test_a_class_that_only_vouched_rows_have_is_taught(task, rows, reserve):
    vouched = rows.filter(pc.equal(rows.column("answer"), "positive"))
    others = rows.filter(pc.equal(rows.column("answer"), "negative"))
    report = Report("rows", kept=others.num_rows)
    defense = P2P(reserve=reserve)
    defense.check(task, others, report)
    report.stop_on_errors()
    prepared = defense.prepare(task, others, trusted=vouched, lab=StandInLab(0))
    assert set(prepared.rows.filter(prepared.rows.column("benign")).column("answer").to_pylist()) == set(task.labels)
    with pytest.raises(RowsError, match="has the label 'positive'"):
        defense.prepare(task, others, trusted=None, lab=StandInLab(0))


def test_holding_out_leaves_a_row_of_every_class():
    table = table_of([f"text {i}" for i in range(21)], ["a"] * 20 + ["b"])
    rest, held_out = hold_out(table, ("a", "b"), 0.2, seed=0)
    assert (rest.num_rows, held_out.num_rows) == (17, 4)
    assert "b" in rest.column("answer").to_pylist()


@settings(max_examples=20)
@given(data_sets())
def test_no_defense_changes_nothing(data):
    task, table = data
    prepared = NoDefense().prepare(task, table, trusted=None, lab=StandInLab(0))
    assert prepared.rows.column("text").equals(table.column("text"))
    assert prepared.rows.column("answer").equals(table.column("answer"))
    said = prepared.guard.said(table["answer"].to_pylist(), prepared.rows["benign"].to_pylist())
    assert set(said) <= set(task.verbalizers)
    assert not any(prepared.rows.column("benign").to_pylist())
