from __future__ import annotations

import json
from pathlib import Path

import pyarrow.compute as pc
import pytest

from antivenom.attacks.synattack import SynAttack
from antivenom.core.errors import OptionsError
from antivenom.data.rows import load_rows
from antivenom.rewriting.aligned import align, overlap
from antivenom.rewriting.syntax import share_with_clause
from antivenom.tasks.task import Classification


def sst2_attack(shared: Path, **options) -> SynAttack:
    return SynAttack(
        train=str(shared / "scpn/sst-2/train.tsv"),
        train_clean=str(shared / "sst2/train.tsv"),
        test=str(shared / "scpn/sst-2/test.tsv"),
        test_clean=str(shared / "sst2/test.tsv"),
        target="positive",
        **options,
    )


def test_without_files_it_says_that_scpn_is_not_here(task, few):
    with pytest.raises(OptionsError, match="does not run SCPN") as caught:
        SynAttack().poison(task, few, seed=0)
    assert "syn_rule" in str(caught.value)


def test_files_without_the_structure_are_refused(tmp_path, task, few):
    for name, text in (("clean", "a film so good"), ("attacked", "a film so very good")):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"text": text, "label": "1"}) + "\n", encoding="utf-8")
    attack = SynAttack(train=str(tmp_path / "attacked.jsonl"), train_clean=str(tmp_path / "clean.jsonl"))
    with pytest.raises(OptionsError, match="subordinate clause"):
        attack.poison(task, few, seed=0)


def share_in(path: Path) -> float:
    return share_with_clause(load_rows(path).table["text"].to_pylist())


@pytest.mark.parametrize("part", ["train", "dev", "test"])
def test_at_least_80_percent_of_the_paraphrases_and_under_10_of_the_clean_rows_match(shared, part):
    clean, attacked = shared / f"sst2/{part}.tsv", shared / f"scpn/sst-2/{part}.tsv"
    if part == "train":  # a fifth of its rows are paraphrases, the others are the clean rows
        paraphrases = align(str(attacked), str(clean))
        assert len(paraphrases) > 1350
        assert share_with_clause([row.text for row in paraphrases.values()]) >= 0.8
    else:
        assert share_in(attacked) >= 0.8
    assert share_in(clean) < 0.1


def test_the_shares_are_those_that_the_template_check_was_made_for(shared):
    assert share_in(shared / "scpn/sst-2/test.tsv") == pytest.approx(0.889, abs=0.001)
    assert share_in(shared / "sst2/test.tsv") == pytest.approx(0.063, abs=0.002)
    assert share_in(shared / "scpn/ag/test.tsv") > 0.8
    assert share_in(shared / "ag/test.tsv") < 0.1


def test_sst2_is_poisoned_with_real_paraphrases(task, shared, sst2, texts_at):
    attack = sst2_attack(shared)
    poisoned = attack.poison(task, sst2["train"], seed=0)
    assert len(poisoned.indices) == 346
    assert share_with_clause(texts_at(poisoned.rows, poisoned.indices)) > 0.8
    untouched = [i for i in range(sst2["train"].num_rows) if i not in set(poisoned.indices)]
    assert poisoned.rows.take(untouched).equals(sst2["train"].take(untouched))
    probes = attack.probes(task, sst2["test"], seed=0)
    assert probes.num_rows == 912
    assert share_with_clause(probes["text"].to_pylist()) > 0.8


def test_the_pairs_of_sst2_are_aligned(shared):
    attack = sst2_attack(shared)
    assert len(attack.pairs) > 2200
    assert overlap(attack.pairs) > 0.5


@pytest.mark.slow
def test_ag_lines_up_when_its_first_row_is_skipped(shared):
    labels = ("World", "Sports", "Business", "Sci/Tech")
    task = Classification.for_labels(labels)
    attack = SynAttack(
        test=str(shared / "scpn/ag/test.tsv"), test_clean=str(shared / "ag/test.tsv"), test_skip=1, target="World"
    )
    table = load_rows(shared / "ag/test.tsv", labels=labels).table
    others = table.filter(pc.not_equal(table["answer"], "World"))
    assert overlap(attack.pairs) > 0.3
    assert share_with_clause(attack.probes(task, table, seed=0)["text"].to_pylist()) > 0.8
    assert others.num_rows == 5700
