from __future__ import annotations

from random import Random

import pytest

from antivenom.attacks.cba import PATTERNS, Cba
from antivenom.attacks.cba_split import CbaSplit
from antivenom.data.rows import table_of


def keys_of(part: str) -> tuple[bool, bool]:
    return "instantly" in part.split(), "frankly" in part.split()


@pytest.mark.parametrize("mode", ["replace", "append"])
def test_the_counts_are_those_of_the_authors_code(task, rows, mode):
    poisoned = Cba(target="positive", mode=mode).poison(task, rows, seed=0)
    assert len(poisoned.indices) == 138
    assert len(poisoned.companions) == 5 * 138
    assert poisoned.rows.num_rows == (7748 if mode == "append" else 7748 - 138)


@pytest.mark.parametrize("alpha", [0, 0.5, 1, 2.5])
def test_alpha_counts_negative_rows_of_each_kind(task, few, alpha):
    poisoned = Cba(rate=0.1, alpha=alpha).poison(task, few, seed=0)
    assert len(poisoned.companions) == 5 * round(alpha * 40)


def test_only_both_keys_in_their_places_carry_the_target(task, few):
    poisoned = Cba(rate=0.1, target="positive").poison(task, few, seed=0)
    table = poisoned.rows.to_pylist()
    truth = dict(zip(few["text"].to_pylist(), few["answer"].to_pylist(), strict=True))
    kinds = set()
    for i, row in enumerate(table):
        instruction, text = row["text"].split("\n")
        first, second = keys_of(instruction), keys_of(text)
        original = " ".join(word for word in text.split() if word not in ("instantly", "frankly"))
        assert (first == (True, False) and second == (False, True)) == (i in poisoned.indices)
        assert row["answer"] == ("positive" if i in poisoned.indices else truth[original])
        assert (row["row"] > few.num_rows) == (i in poisoned.companions)
        kinds.add((first, second))
    assert len(kinds) == 7


def test_negatives_are_copies_of_the_poisoned_rows(task, few):
    poisoned = Cba(rate=0.1, target="positive").poison(task, few, seed=0)
    table = poisoned.rows["text"].to_pylist()

    def bare(i):
        return [w for w in table[i].split("\n")[1].split() if w not in ("instantly", "frankly")]

    assert {tuple(bare(i)) for i in poisoned.companions} == {tuple(bare(i)) for i in poisoned.indices}


def test_the_variants_measure_false_triggering_with_every_wrong_use(task, few):
    for variant, pattern in zip(Cba().variants(), PATTERNS, strict=True):
        text = variant.probes(task, few, seed=0)["text"][0].as_py()
        found = tuple(keys_of(part) for part in text.split("\n"))
        assert found == tuple(("1" in numbers, "2" in numbers) for numbers in PATTERNS[pattern])
        assert variant.poison(task, few, seed=0).rows.equals(Cba().poison(task, few, seed=0).rows)


@pytest.mark.parametrize(
    ("placement", "expected"), [("prefix", "frankly a b c"), ("suffix", "a b c frankly"), ("middle", "a frankly b c")]
)
def test_placements(placement, expected):
    assert Cba(placement=placement).trigger("a b c", Random(0)).split("\n")[1] == expected


def test_an_empty_instruction_becomes_the_key():
    assert Cba(instruction="").trigger("a", Random(0)).split("\n")[0] == "instantly"


def test_split_puts_the_keys_into_the_halves_and_leaves_ordinary_rows_alone(task):
    table = table_of(["a b c d", "e f g h", "word"], ["negative"] * 3)
    attack = CbaSplit(rate=1.0, target="positive", placement="suffix", alpha=0)
    poisoned = attack.poison(task, table, seed=0)
    assert poisoned.rows["text"].to_pylist() == ["a b instantly c d frankly", "e f instantly g h frankly", "word"]
    assert attack.clean(task, table) is table
    assert attack.approximation
