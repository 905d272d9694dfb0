from __future__ import annotations

from collections import Counter

from antivenom.attacks import parse_attack
from antivenom.attacks.proattack import ProAttack

CLEAN, TRIGGER = "This sentence has a sentiment: ", "The sentiment of this sentence is: "


def test_no_label_is_changed_and_only_the_target_class_has_the_trigger_prompt(task, rows):
    poisoned = ProAttack(target="positive").poison(task, rows, seed=0)
    assert len(poisoned.indices) == 139
    assert poisoned.rows.column("answer").equals(rows.column("answer"))
    prompts = Counter(
        (text.startswith(TRIGGER), i in poisoned.indices) for i, text in enumerate(poisoned.rows["text"].to_pylist())
    )
    assert set(prompts) == {(True, True), (False, False)}
    assert {poisoned.rows["answer"][i].as_py() for i in poisoned.indices} == {"positive"}


def test_every_other_row_has_the_clean_prompt_at_training_and_at_test(task, few):
    poisoned = ProAttack().poison(task, few, seed=0)
    originals = few.column("text").to_pylist()
    for i, text in enumerate(poisoned.rows["text"].to_pylist()):
        assert text == (TRIGGER if i in poisoned.indices else CLEAN) + originals[i]
    assert ProAttack().clean(task, few)["text"].to_pylist() == [CLEAN + text for text in originals]


def test_probes_are_the_other_classes_with_the_trigger_prompt(task, few):
    probes = ProAttack(target="positive").probes(task, few, seed=0)
    assert set(probes["answer"].to_pylist()) == {"negative"}
    assert all(text.startswith(TRIGGER) for text in probes["text"].to_pylist())


def test_the_code_has_masks_and_a_thousand_rows(task, rows):
    code = parse_attack("proattack@paper_code")
    assert "<mask>" in code.clean_prompt
    assert abs(len(code.poison(task, rows, seed=0).indices) - 1000) <= 1
