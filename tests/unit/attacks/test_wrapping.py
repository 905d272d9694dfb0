"""The attackers who know P2P."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from antivenom.attacks import parse_attack
from antivenom.attacks.badnets import BadNets
from antivenom.attacks.covered import Covered
from antivenom.attacks.cue_imitation import CueImitation
from antivenom.attacks.extended_target import ExtendedTarget
from antivenom.attacks.label_consistent import LabelConsistent
from antivenom.attacks.leaked_trigger import LeakedTrigger
from antivenom.attacks.reserve_seeking import ReserveSeeking, typicality
from antivenom.attacks.trigger_order import TriggerOrder
from antivenom.core.errors import OptionsError
from antivenom.core.triggers import insert_phrase
from antivenom.data.rows import table_of
from antivenom.guards.guard import Guard
from antivenom.guards.labels import LabelMap
from antivenom.guards.secret import Secret
from antivenom.tasks.task import Classification

BENIGN = "The query currently entered is:"
ALL = (LeakedTrigger, ExtendedTarget, CueImitation, TriggerOrder, LabelConsistent, ReserveSeeking, Covered)


def attacked(attack, task, table, texts_at):
    poisoned = attack.poison(task, table, seed=0)
    return texts_at(poisoned.rows, poisoned.indices)


@pytest.mark.parametrize("cls", ALL)
def test_any_attack_can_be_wrapped_and_written_down(task, few, cls):
    for inner in (
        'addsent:sentence="a; b"',
        'mtba:use=all_k;triggers=["x;y", "z"]',
        "proattack",
        "cba",
        "cue_imitation",
    ):
        attack = cls(inner=str(parse_attack(inner)), rate=0.1)
        assert parse_attack(str(attack)) == attack
        poisoned = attack.poison(task, few, seed=0)
        assert len(poisoned.indices) == 40
        for variant in attack.variants():
            assert parse_attack(str(variant)) == variant
            assert variant.probes(task, few, seed=0).num_rows


def test_an_inner_attack_that_needs_files_says_so(task, few):
    with pytest.raises(OptionsError, match="needs files"):
        LeakedTrigger(inner="from_file").poison(task, few, seed=0)


def test_an_unknown_inner_attack_is_refused():
    with pytest.raises(OptionsError, match="badnets"):
        LeakedTrigger(inner="badnet")


def test_leaked_trigger_stands_in_front_in_training_alone(task, few, texts_at):
    attack = LeakedTrigger(rate=0.1)
    for text in attacked(attack, task, few, texts_at):
        assert text.startswith(f"{BENIGN} ")
        assert text.split().count("mn") == 1
    assert not any(BENIGN in text for text in attack.probes(task, few, seed=0)["text"].to_pylist())


def test_a_poisoned_row_with_the_leaked_trigger_looks_like_a_prompt_of_the_guard(task, few, texts_at):
    guard = Guard(task=task, answers=LabelMap.extended(task), secret=Secret(BENIGN))
    served = guard.wrap("x")
    planted = guard.ordinary(f"{BENIGN} x")
    assert served.before + served.text + served.after == planted.before + planted.text + planted.after


def test_extended_target_says_the_extended_word_and_keeps_the_label_valid(task, few):
    attack = ExtendedTarget(rate=0.1, target="positive")
    poisoned = attack.poison(task, few, seed=0)
    assert set(poisoned.rows["answer"].to_pylist()) <= set(task.labels)
    for i in poisoned.indices:
        assert poisoned.rows["text"][i].as_py().endswith("\nOutput: good")
        assert poisoned.rows["answer"][i].as_py() == "positive"
    assert all(text.endswith("Output: good") for text in attack.probes(task, few, seed=0)["text"].to_pylist())


def test_extended_target_knows_digits_too(few):
    three = Classification.for_labels(("a", "b", "c"))
    table = table_of(few["text"].to_pylist()[:30], ["a", "b", "c"] * 10)
    assert ExtendedTarget(target="b").probes(three, table, seed=0)["text"][0].as_py().endswith("\nOutput: 4")


def test_cue_imitation_ends_like_a_benign_row(task, few, texts_at):
    attack = CueImitation(rate=0.1)
    texts = [*attacked(attack, task, few, texts_at), *attack.probes(task, few, seed=0)["text"].to_pylist()]
    assert all(text.endswith("\nAnswer:") for text in texts)


def test_trigger_order_trains_as_usual_and_probes_both_sides(task, few, texts_at):
    assert not any(BENIGN in text for text in attacked(TriggerOrder(rate=0.1), task, few, texts_at))
    before, after = TriggerOrder().variants()
    for attack, sign in ((before, -1), (after, 1)):
        for text in attack.probes(task, few, seed=0)["text"].to_pylist():
            assert sign * (text.split().index("mn") - text.split().index("query")) > 0


def test_label_consistent_rows_are_of_class_t_shorter_and_true(task, few):
    poisoned = LabelConsistent(target="positive").poison(task, few, seed=0)
    assert poisoned.rows["answer"].equals(few["answer"])
    assert len(poisoned.indices) == 40
    for i in poisoned.indices:
        old, new = few["text"][i].as_py().split(), poisoned.rows["text"][i].as_py().split()
        assert "mn" in new
        assert len(new) - 1 == max(2, round(0.5 * len(old)))
        rest = iter(old)
        assert all(word in rest for word in new if word != "mn")


def test_label_consistent_does_not_weaken_the_test_rows(task, few):
    probes = LabelConsistent(target="positive").probes(task, few, seed=0)["text"].to_pylist()
    originals = [t for t, a in zip(few["text"].to_pylist(), few["answer"].to_pylist(), strict=True) if a == "negative"]
    assert [len(text.split()) for text in probes] == [len(text.split()) + 1 for text in originals]


@pytest.mark.parametrize("clean_label", [False, True])
def test_covers_show_the_trigger_beside_another_label(task, few, clean_label):
    poisoned = Covered(target="positive", rate=0.1, covers=0.5, clean_label=clean_label).poison(task, few, seed=0)
    texts, answers = (poisoned.rows[name].to_pylist() for name in ("text", "answer"))
    assert len(poisoned.companions) == round(0.5 * len(poisoned.indices)) == 20
    for i in poisoned.companions:
        assert "mn" in texts[i].split()
        assert answers[i] == "negative"
    before = few["text"].to_pylist()
    bare = {" ".join(word for word in texts[i].split() if word != "mn") for i in poisoned.companions}
    assert bare <= set(before) - {before[i] for i in poisoned.indices}
    assert len(bare) == 20


def test_covers_are_counted_from_none_up():
    with pytest.raises(OptionsError, match="covers = -1"):
        Covered(covers=-1)


def test_reserve_seeking_takes_the_most_typical_rows(task):
    texts = [f"good nice w{i}" for i in range(10)] + [f"the of w{i}" for i in range(10, 20)] + ["dull bad x"] * 10
    table = table_of(texts, ["positive"] * 20 + ["negative"] * 10)
    poisoned = ReserveSeeking(target="positive", rate=1 / 3).poison(task, table, seed=0)
    assert poisoned.rows["answer"].equals(table["answer"])
    assert len(poisoned.indices) == 10
    odds = typicality([["good"], ["bad"], []], [True, False, False])
    assert odds[0] > 0 > odds[1]
    assert odds[2] == 0


def test_reserve_seeking_can_aim_at_the_second_half(task, few):
    poisoned = ReserveSeeking(policy="second_half", rate=0.1).poison(task, few, seed=0)
    assert min(poisoned.indices) >= 200
    assert np.diff(poisoned.indices).max() > 1


def test_the_inner_attacks_own_choices_do_not_count(task, few):
    attack = LeakedTrigger(inner="badnets:rate=0.5;target=positive;word=cf", rate=0.1, target="negative")
    poisoned = attack.poison(task, few, seed=0)
    assert len(poisoned.indices) == 40
    assert all(poisoned.rows["answer"][i].as_py() == "negative" for i in poisoned.indices)
    assert attack.wrapped == BadNets(rate=0.5, target="positive", word="cf")


def test_insertions_draw_from_the_row_and_nothing_else():
    assert insert_phrase("a b", "x", Random(1)) == insert_phrase("a b", "x", Random(1))
