from __future__ import annotations

import math

import pytest

from antivenom.attacks import parse_attack
from antivenom.attacks.mtba import Mtba
from antivenom.core.errors import OptionsError


def carried(text: str) -> list[str]:
    return [trigger for trigger in Mtba().triggers if f" {trigger} " in f" {text} "]


def test_each_row_has_one_trigger_and_the_total_is_split_evenly(task, rows, texts_at):
    poisoned = Mtba(rate=0.2, target="positive").poison(task, rows, seed=0)
    found = [carried(text) for text in texts_at(poisoned.rows, poisoned.indices)]
    assert all(len(triggers) == 1 for triggers in found)
    assert len(found) == 1384
    spread = 3 * math.sqrt(1384 * (1 / 3) * (2 / 3))
    for trigger in Mtba().triggers:
        assert abs(found.count([trigger]) - 1384 / 3) < spread


def test_all_k_puts_every_trigger_once(task, few, texts_at):
    poisoned = Mtba(use="all_k", rate=0.1).poison(task, few, seed=0)
    for text in texts_at(poisoned.rows, poisoned.indices):
        assert all(f" {text} ".count(f" {trigger} ") == 1 for trigger in Mtba().triggers)
    assert len(Mtba(use="all_k").variants()) == 1


def test_triggers_are_measured_mixed_and_one_by_one(task, few):
    mixed, *single = Mtba().variants()
    assert mixed == Mtba()
    for attack, trigger in zip(single, Mtba().triggers, strict=True):
        assert all(carried(text) == [trigger] for text in attack.probes(task, few, seed=0)["text"].to_pylist())
        assert attack.poison(task, few, seed=0).rows.equals(Mtba().poison(task, few, seed=0).rows)
        assert parse_attack(str(attack)) == attack
    texts = mixed.probes(task, few, seed=0)["text"].to_pylist()
    assert {carried(text)[0] for text in texts} == set(Mtba().triggers)


def test_a_probe_that_is_no_trigger_is_refused():
    with pytest.raises(OptionsError, match="none of its triggers"):
        Mtba(probe_only="cf")
    with pytest.raises(OptionsError, match="at least one"):
        Mtba(triggers=())


def test_presets():
    assert parse_attack("mtba@paper_text").use == "all_k"
    assert parse_attack("mtba@backdoorllm").triggers == ("2024", "BadMagic", "OpenAI")
