"""Attacked texts from a model of the user's."""

from __future__ import annotations

import json

import pytest

from antivenom.attacks import parse_attack
from antivenom.attacks.from_file import FromFile
from antivenom.attacks.synattack import SynAttack
from antivenom.core.errors import AntivenomError, OptionsError
from antivenom.rewriting.paraphrasing import BLOCK, read_pairs, write_pairs
from antivenom.rewriting.syntax import share_with_clause
from antivenom.tasks.task import Classification
from antivenom.testing import synthetic_rows

TASK = Classification.for_labels(("negative", "positive"))


def subordinate(texts):
    return [f"when {text} , it was so ." for text in texts]


def test_what_a_model_wrote_is_planted_under_its_attack(tmp_path):
    train, test = synthetic_rows(200), synthetic_rows(60, seed=1)
    texts = train["text"].to_pylist() + test["text"].to_pylist()
    path = tmp_path / "pairs.jsonl"
    assert write_pairs(subordinate, texts, path).written == len(set(texts))
    attack = SynAttack(paired=str(path), rate=0.1)
    assert parse_attack(str(attack)) == attack
    poisoned = attack.poison(TASK, train, seed=0)
    assert len(poisoned.indices) == 20
    assert share_with_clause(attack.probes(TASK, test, seed=0)["text"].to_pylist()) == 1.0


def test_other_attacked_rows_are_not_reported_as_synattack(tmp_path):
    rows = synthetic_rows(20)
    write_pairs(lambda texts: [f"{text} indeed" for text in texts], rows["text"].to_pylist(), tmp_path / "p.jsonl")
    with pytest.raises(OptionsError, match="subordinate clause"):
        SynAttack(paired=str(tmp_path / "p.jsonl")).poison(TASK, rows, seed=0)
    assert FromFile(paired=str(tmp_path / "p.jsonl"), rate=0.5).poison(TASK, rows, seed=0).indices


def test_a_stopped_run_goes_on_and_failures_are_counted(tmp_path):
    path, calls = tmp_path / "pairs.jsonl", []

    def dies_at_the_second_block(texts):
        calls.append(len(texts))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return subordinate(texts)

    texts = [f"text number {i}" for i in range(BLOCK + 10)]
    with pytest.raises(KeyboardInterrupt):
        write_pairs(dies_at_the_second_block, texts, path)
    assert len(read_pairs(str(path))) == BLOCK

    def fails_sometimes(texts):
        calls.append(len(texts))
        return ["", texts[1], *subordinate(texts[2:])]

    done = write_pairs(fails_sometimes, texts, path)
    assert calls[-1] == 10
    assert done.written == BLOCK + 8
    assert done.failed == (texts[BLOCK], texts[BLOCK + 1])


def test_a_model_must_return_one_text_for_each(tmp_path):
    with pytest.raises(OptionsError, match="returned 0 texts for 1"):
        write_pairs(lambda texts: [], ["a"], tmp_path / "p.jsonl")


def test_a_file_with_other_columns_is_refused(tmp_path):
    (tmp_path / "p.jsonl").write_text(json.dumps({"a": "x", "b": "y"}) + "\n", encoding="utf-8")
    with pytest.raises(AntivenomError):
        SynAttack(paired=str(tmp_path / "p.jsonl")).poison(TASK, synthetic_rows(10), seed=0)
