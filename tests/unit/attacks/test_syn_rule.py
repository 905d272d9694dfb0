from __future__ import annotations

from random import Random

import pytest

from antivenom.attacks.syn_rule import SynRule
from antivenom.rewriting.syntax import opens_with_clause, share_with_clause


def test_every_output_matches_the_template_and_keeps_the_words(task, few, texts_at):
    poisoned = SynRule(rate=0.2).poison(task, few, seed=0)
    texts = texts_at(poisoned.rows, poisoned.indices)
    assert share_with_clause(texts) == 1.0
    before = few.column("text").to_pylist()
    for i, text in zip(poisoned.indices, texts, strict=True):
        kept = [word for word in text.split()[1:] if word not in (",", ".")]
        assert kept == [word for word in before[i].split() if word != ","]


def test_the_cut_is_at_a_comma_or_in_the_middle():
    rule = SynRule(subordinators=("when",))
    assert rule.trigger("the plot ends , nobody cares .", Random(0)) == "when the plot ends , nobody cares ."
    assert rule.trigger("nobody cares at all", Random(0)) == "when nobody cares , at all ."
    assert not rule.eligible("too short here")


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("when it ends , nobody cares .", True),
        ("When it ends , nobody cares .", True),
        ("when it ends nobody cares .", False),
        ("it ends , and nobody cares .", False),
        ("", False),
    ],
)
def test_the_template_check(text, matches):
    assert opens_with_clause(text) is matches


def test_it_says_that_it_is_no_synattack():
    assert "SCPN" in SynRule.approximation
