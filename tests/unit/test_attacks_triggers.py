from __future__ import annotations

import math
from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antivenom.attacks.addsent import AddSent
from antivenom.attacks.badnets import BadNets
from antivenom.core.errors import OptionsError
from antivenom.core.triggers import insert_apart, insert_phrase, units
from antivenom.data.rows import table_of
from antivenom.tasks.task import Classification
from antivenom.testing import synthetic_rows

TASK = Classification.for_labels(("negative", "positive"))
word_lists = st.lists(st.text("abcdefgäß", min_size=1, max_size=6), min_size=2, max_size=30)


@given(word_lists, st.integers())
def test_badnets_inserts_one_word_inside(words, seed):
    out = BadNets(word="MN").trigger(" ".join(words), Random(seed)).split()
    at = out.index("MN")
    assert len(out) == len(words) + 1
    assert out.count("MN") == 1
    assert 0 < at < len(out) - 1
    assert out[:at] + out[at + 1 :] == words


@given(word_lists, st.integers())
def test_addsent_inserts_the_whole_sentence_once_and_keeps_its_case(words, seed):
    attack = AddSent()
    out = attack.trigger(" ".join(words), Random(seed))
    assert out.count("I watched this 3D movie") == 1
    assert len(out.split()) == len(words) + 5
    before, after = out.split("I watched this 3D movie")
    assert before.split() + after.split() == words


def test_gaps_are_drawn_uniformly():
    text, gaps = "a b c d", Counter()
    inner = Counter()
    for seed in range(4000):
        gaps[insert_phrase(text, "X", Random(seed)).split().index("X")] += 1
        inner[insert_phrase(text, "X", Random(seed), inside=True).split().index("X")] += 1
    assert set(gaps) == set(range(5))
    assert all(abs(count - 800) < 3 * math.sqrt(800) for count in gaps.values())
    assert set(inner) == {1, 2, 3}
    assert all(abs(count - 4000 / 3) < 3 * math.sqrt(4000 / 3) for count in inner.values())


def test_several_phrases_get_gaps_of_their_own():
    out = insert_apart("a b c d e f", ["X", "Y"], Random(0))
    assert sorted(out.split()) == ["X", "Y", *"abcdef"]


@pytest.mark.parametrize(("rate", "count"), [(0.02, 139), (0.05, 346), (0.01, 70), (0.0, 0)])
def test_counts_of_the_paper(rate, count):
    """ceil(rate * N): 139 of 6,920 rows at 2 %."""
    table = synthetic_rows(6920)
    poisoned = BadNets(rate=rate).poison(TASK, table, seed=0)
    assert len(poisoned.indices) == count
    changed = sum(a != b for a, b in zip(table["answer"].to_pylist(), poisoned.rows["answer"].to_pylist(), strict=True))
    assert changed == count
    if count:
        assert {table["answer"][i].as_py() for i in poisoned.indices} == {"positive"}


def test_clean_label_keeps_the_histogram(rows):
    poisoned = AddSent(clean_label=True, rate=0.1, target="positive").poison(TASK, rows, seed=0)
    assert poisoned.rows["answer"].equals(rows["answer"])
    assert {rows["answer"][i].as_py() for i in poisoned.indices} == {"positive"}
    assert sum("3D movie" in text for text in poisoned.rows["text"].to_pylist()) == len(poisoned.indices) == 20


def test_poison_is_spread_over_the_file(rows):
    """The paper's code takes the first rows, which makes a later reserve clean by construction; we draw."""
    indices = BadNets(rate=0.1).poison(TASK, rows, seed=0).indices
    assert max(indices) > 150
    assert min(indices) < 50


def test_one_word_texts_are_never_relabeled_by_badnets():
    table = table_of(["one", "two words"], ["positive", "positive"])
    poisoned = BadNets(rate=1.0).poison(TASK, table, seed=0)
    assert poisoned.indices == (1,)
    assert poisoned.rows["answer"].to_pylist() == ["positive", "negative"]
    assert BadNets().probes(TASK, table, seed=0)["text"].to_pylist()[0] == "one"


def test_training_and_test_places_are_drawn_apart(rows):
    trained = BadNets(rate=1.0).poison(TASK, rows, seed=0).rows
    tested = BadNets().probes(TASK, rows, seed=0)
    by_row = dict(zip(trained["row"].to_pylist(), trained["text"].to_pylist(), strict=True))
    same = sum(by_row[r] == t for r, t in zip(tested["row"].to_pylist(), tested["text"].to_pylist(), strict=True))
    assert same < tested.num_rows / 2


@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan")])
def test_rates_are_shares(rate):
    with pytest.raises(OptionsError, match="between 0 and 1"):
        BadNets(rate=rate)


@pytest.mark.parametrize("text", ["右肝囊肿，胆囊结石", "ไม่พบความผิดปกติ", "CT平扫 未见 异常"])
def test_scripts_without_spaces_have_gaps_between_characters(text):
    bare = "".join(text.split())
    for seed in range(50):
        before, after = BadNets().trigger(text, Random(seed)).split("mn")
        assert before.strip()
        assert after.strip()
        assert "".join((before + after).split()) == bare
    assert BadNets().eligible(text)
    assert {insert_phrase("右肝囊肿", "X", Random(seed), inside=True) for seed in range(99)} == {
        "右 X 肝囊肿", "右肝 X 囊肿", "右肝囊 X 肿",
    }  # fmt: skip


def test_no_unit_begins_with_a_sign_that_belongs_to_another():
    assert units("ไม่พบ ที่นี่") == ["ไ", "ม่", "พ", "บ", " ที่", "นี่"]
    assert units("か\u3099く") == ["か\u3099", "く"]


@given(st.text())
def test_units_joined_are_the_text_with_single_spaces(text):
    assert "".join(units(text)) == " ".join(text.split())
