from __future__ import annotations

from random import Random

import numpy as np
import pyarrow as pa
import pytest
from screen_rows import make_rows

from antivenom.data.rows import with_columns
from antivenom.defenses.standard.decoys import DECOYS, add_decoys, place_decoys


@pytest.mark.parametrize("kind", DECOYS)
@pytest.mark.parametrize("script", ["latin", "han"])
def test_decoys_are_added_to_reserve_rows_only_and_labels_stay(kind: str, script: str) -> None:
    table = make_rows(200, script=script)
    reserve = np.arange(200) < 100
    changed = add_decoys(table, reserve, [kind], 1.0, planted={("mn",): 5, ("3D movie", "bb"): 5}, seed=0)  # type: ignore[list-item]
    assert changed.column("answer").equals(table.column("answer"))
    pairs = list(zip(table.column("text").to_pylist(), changed.column("text").to_pylist(), strict=True))
    assert all(len(new) > len(old) for old, new in pairs[:100])
    assert all(new == old for old, new in pairs[100:])


def test_dose_seed_and_order() -> None:
    table = make_rows(400)
    reserve = np.ones(400, dtype=bool)
    once = add_decoys(table, reserve, ["strings", "spans"], 0.5, seed=3)
    assert once.equals(add_decoys(table, reserve, ["strings", "spans"], 0.5, seed=3))
    assert not once.equals(add_decoys(table, reserve, ["strings", "spans"], 0.5, seed=4))
    share = np.mean(np.array(once.column("text")) != np.array(table.column("text")))
    assert 0.4 < share < 0.6
    order = pa.array(np.random.default_rng(0).permutation(400))
    assert add_decoys(table.take(order), reserve, ["strings", "spans"], 0.5, seed=3).equals(once.take(order))


def test_one_row_in_another_script_does_not_bring_its_letters() -> None:
    table = make_rows(400)
    foreign = "".join(chr(0x4E00 + i) for i in range(500))
    table = with_columns(table, text=[foreign, *table.column("text").to_pylist()[1:]])
    changed = add_decoys(table, np.ones(400, dtype=bool), ["strings"], 1.0, seed=0)
    assert all(text.isascii() for text in changed.column("text").to_pylist()[1:])


def test_strains_reach_every_class_alike() -> None:
    changed = add_decoys(make_rows(1000), np.ones(1000, dtype=bool), ["planted"], 1.0, planted={("mn",): 5}, seed=0)
    with_strain = [row["answer"] for row in changed.to_pylist() if "mn" in row["text"].split()]
    assert (with_strain.count("no"), with_strain.count("yes")) == (500, 500)


@pytest.mark.parametrize(
    "text", ["def f(x):\n    return x\n\nprint(f(1))", " edge  of\ttown ", "看这部电影", "one", ""]
)
def test_decoys_stay_whole_and_so_does_the_text(text: str) -> None:
    decoys = ("please read the lines", "below :")
    for seed in range(50):
        changed = place_decoys(text, decoys, Random(seed))
        for decoy in decoys:
            assert decoy in changed
            changed = changed.replace(decoy, "", 1)
        assert changed.replace(" ", "") == text.replace(" ", "")


def test_without_strains_nothing_changes() -> None:
    table = make_rows(50)
    assert add_decoys(table, np.ones(50, dtype=bool), ["planted"], 1.0, seed=0) is table
