"""What every attack and every defense promises, tested over the registries."""

from __future__ import annotations

import dataclasses
import json
import random
from collections import Counter

import pyarrow as pa
import pytest
from pyarrow.csv import read_csv

from antivenom.artifacts.decisions import DECISIONS, write_decisions
from antivenom.attacks import attacks
from antivenom.attacks.base import Attack
from antivenom.core.errors import AntivenomError, OptionsError
from antivenom.core.registry import from_spec
from antivenom.data.rows import SCHEMA, table_of
from antivenom.defenses import defenses
from antivenom.defenses.base import PREPARED_SCHEMA, Defense, Prepared
from antivenom.testing import StandInLab

LONG = " ".join(f"word{i}" for i in range(10_000))
AWKWARD = {
    "empty": ([], []),
    "one word": (["good", "bad", "fine", "poor"], ["positive", "negative"] * 2),
    "long": ([LONG, LONG + " end"], ["positive", "negative"]),
    "non-ASCII": (
        ["素晴らしい 映画", "žalosten film 😞 naïve", "ممتاز جدا", "плохо очень"],
        ["positive", "negative"] * 2,
    ),
    "blank inside": (["a\tb\n\nc", "  d   e ", "f g", "h i"], ["positive", "negative"] * 2),
}


def bag(table: pa.Table, *columns: str) -> Counter:
    return Counter(tuple(row[c] for c in columns) for row in table.to_pylist())


def shuffled(table: pa.Table, seed: int = 3) -> pa.Table:
    order = list(range(table.num_rows))
    random.Random(seed).shuffle(order)
    return table.take(order)


def cut(table: pa.Table) -> pa.Table:
    """The same rows in Arrow chunks of uneven size."""
    return pa.concat_tables([table.slice(0, 1), table.slice(1, 40), table.slice(41, 0), table.slice(41)])


def copy_of(table: pa.Table) -> pa.Table:
    return pa.Table.from_pydict(table.to_pydict(), schema=table.schema)


# ---------------------------------------------------------------------------------------------------------- options


def test_methods_are_frozen_dataclasses_with_documented_defaults(method_class):
    method = method_class()
    assert method_class.__doc__
    assert method_class.name == method_class.name.lower()
    with pytest.raises(dataclasses.FrozenInstanceError):
        method.name_of_no_field = 1


def test_methods_round_trip(method_class):
    registry = {method_class.name: method_class}
    method = method_class()
    assert from_spec(method.name, registry) == method
    assert from_spec(str(method), registry) == method
    data = method.to_dict()
    assert from_spec(json.dumps(data), registry) == method
    del data["name"]
    assert method_class.from_dict(data) == method


def test_methods_refuse_unknown_options(method_class):
    with pytest.raises(OptionsError, match="unknown option 'no_such_option'"):
        from_spec(f"{method_class.name}:no_such_option=1", {method_class.name: method_class})


def test_methods_refuse_wrong_types(method_class):
    for field in dataclasses.fields(method_class):
        with pytest.raises(OptionsError, match=field.name):
            method_class.from_dict({field.name: {"a": ["dictionary"]}})


def test_registered_names_are_their_keys():
    for registry in (attacks(), defenses()):
        assert all(cls.name == name for name, cls in registry.items())


# ---------------------------------------------------------------------------------------------------------- attacks


def test_attacks_poison_what_they_say(attack_class: type[Attack], task, rows):
    attack = attack_class(rate=0.1)
    poisoned = attack.poison(task, rows, seed=5)
    before, after = attack.clean(task, rows).to_pylist(), poisoned.rows.to_pylist()
    assert poisoned.rows.schema == rows.schema
    assert poisoned.companions == tuple(range(len(before), len(after)))
    assert [row["row"] for row in after] == list(range(1, len(after) + 1))
    assert {after[i]["answer"] for i in poisoned.companions} <= set(task.labels)
    assert len(set(poisoned.indices)) == len(poisoned.indices) == 20
    for i, (old, new) in enumerate(zip(before, after, strict=False)):
        assert old["row"] == new["row"]
        if i in poisoned.indices:
            assert old["text"] != new["text"]
            assert new["answer"] == task.target(attack.target)
            assert (old["answer"] == new["answer"]) is attack.clean_label
        else:
            assert old == new


def test_attacks_are_deterministic_and_seeded(attack_class, task, rows):
    attack = attack_class(rate=0.2)
    first, again = attack.poison(task, rows, seed=1), attack.poison(task, rows, seed=1)
    assert first.indices == again.indices
    assert first.rows.equals(again.rows)
    assert not attack.poison(task, rows, seed=2).rows.equals(first.rows)
    assert attack.probes(task, rows, seed=1).equals(attack.probes(task, rows, seed=1))


def test_attacks_do_not_depend_on_order_or_chunks(attack_class, task, rows):
    attack = attack_class(rate=0.2)
    expected = bag(attack.poison(task, rows, seed=1).rows, "row", "text", "answer")
    assert bag(attack.poison(task, shuffled(rows), seed=1).rows, "row", "text", "answer") == expected
    assert attack.poison(task, cut(rows), seed=1).indices == attack.poison(task, rows, seed=1).indices
    expected = bag(attack.probes(task, rows, seed=1), "row", "text", "answer")
    for other in (shuffled(rows), cut(rows)):
        assert bag(attack.probes(task, other, seed=1), "row", "text", "answer") == expected


def test_equal_texts_with_different_labels_do_not_let_the_order_decide(attack_class, task):
    three = type(task).for_labels(("a", "b", "c"))
    table = table_of(["the same text"] * 6 + ["another text"] * 6, ["a", "b", "c"] * 4)
    expected = bag(attack_class(rate=0.25).poison(three, table, seed=1).rows, "text", "answer")
    for seed in range(5):
        again = attack_class(rate=0.25).poison(three, shuffled(table, seed), seed=1).rows
        assert bag(again, "text", "answer") == expected


def test_attacks_never_change_their_input(attack_class, task, rows):
    before = copy_of(rows)
    attack_class(rate=1.0).poison(task, rows, seed=0)
    attack_class().probes(task, rows, seed=0)
    assert rows.equals(before)


def test_probes_keep_every_row_of_another_class(attack_class, task, rows):
    attack = attack_class()
    probes = attack.probes(task, rows, seed=0)
    target = task.target(attack.target)
    expected = [(row["row"], row["answer"]) for row in rows.to_pylist() if row["answer"] != target]
    assert [(row["row"], row["answer"]) for row in probes.to_pylist()] == expected
    assert target not in probes.column("answer").to_pylist()
    assert probes.schema == SCHEMA
    others = attack.probes_of_target(task, rows, seed=0)
    assert set(others.column("answer").to_pylist()) == {target}
    assert others.num_rows + probes.num_rows == rows.num_rows


@pytest.mark.parametrize("case", AWKWARD)
def test_attacks_survive_awkward_rows(attack_class, task, case):
    table = table_of(*AWKWARD[case])
    poisoned = attack_class(rate=1.0).poison(task, table, seed=0)
    assert poisoned.rows.num_rows == table.num_rows + len(poisoned.companions)
    assert all(text.strip() for text in poisoned.rows.column("text").to_pylist())
    probes = attack_class().probes(task, table, seed=0)
    assert probes.num_rows == table.column("answer").to_pylist().count("positive")


def test_a_rate_of_nothing_poisons_nothing(attack_class, task, rows):
    poisoned = attack_class(rate=0.0).poison(task, rows, seed=0)
    assert poisoned.indices == ()
    assert poisoned.rows.equals(attack_class().clean(task, rows))


def test_an_unknown_target_is_a_user_error(attack_class, task, rows):
    with pytest.raises(OptionsError, match="there is no label 'neutral'"):
        attack_class(target="neutral").poison(task, rows, seed=0)


def test_attacks_that_need_something_say_how_to_get_it(needing_class: type[Attack], task, rows):
    attack = needing_class()
    for use in (attack.poison, attack.probes):
        for table in (rows, rows.slice(0, 0)):
            with pytest.raises(OptionsError) as caught:
                use(task, table, seed=0)
            assert caught.value.mend


def test_clean_rows_keep_their_answers_and_numbers(attack_class, task, rows):
    clean = attack_class().clean(task, rows)
    assert clean.drop_columns(["text"]).equals(rows.drop_columns(["text"]))
    assert clean.schema == rows.schema


def test_every_variant_can_be_written_down_and_probes(attack_class, task, rows):
    for variant in attack_class().variants():
        assert from_spec(str(variant), attacks()) == variant
        assert variant.probes(task, rows, seed=0).num_rows == attack_class().probes(task, rows, seed=0).num_rows


# --------------------------------------------------------------------------------------------------------- defenses


def prepare(defense_class: type[Defense], task, table, trusted) -> Prepared:
    return defense_class().prepare(task, table, trusted=trusted, lab=StandInLab(4, has_model=False))


def test_defenses_return_rows_that_can_be_trained_on(defense_class, task, rows, trusted):
    prepared = prepare(defense_class, task, rows, trusted)
    assert prepared.rows.schema == PREPARED_SCHEMA
    assert set(prepared.rows.column("answer").to_pylist()) <= set(task.labels)
    assert not any(prepared.rows.column(name).null_count for name in prepared.rows.column_names)
    json.dumps(prepared.facts)


def test_defenses_account_for_every_row(defense_class, task, rows, trusted, tmp_path):
    prepared = defense_class().prepare(task, rows, trusted=trusted, lab=StandInLab(0))
    write_decisions(tmp_path, rows, trusted, prepared)
    lines = read_csv(tmp_path / DECISIONS).to_pylist()
    kept = set(prepared.rows.column("row").to_pylist())
    assert [line["row"] for line in lines] == rows.column("row").to_pylist()
    assert all((line["decision"] == "left out") == (line["row"] not in kept) for line in lines)


def test_defenses_are_deterministic(defense_class, task, rows, trusted):
    first, again = prepare(defense_class, task, rows, trusted), prepare(defense_class, task, rows, trusted)
    assert first.rows.equals(again.rows)
    assert (first.guard, first.facts) == (again.guard, again.facts)


def test_defenses_do_not_depend_on_order_or_chunks(defense_class, task, rows, trusted):
    expected = bag(prepare(defense_class, task, rows, trusted).rows, "row", "text", "answer", "benign")
    for table, vouched in ((shuffled(rows), shuffled(trusted)), (cut(rows), cut(trusted))):
        assert bag(prepare(defense_class, task, table, vouched).rows, "row", "text", "answer", "benign") == expected


def test_defenses_never_change_their_input(defense_class, task, rows, trusted):
    before = copy_of(rows), copy_of(trusted)
    prepare(defense_class, task, rows, trusted)
    assert rows.equals(before[0])
    assert trusted.equals(before[1])


@pytest.mark.parametrize("case", AWKWARD)
def test_defenses_survive_awkward_rows(defense_class, task, trusted, case):
    table = table_of(*AWKWARD[case])
    given = Counter(AWKWARD[case][0]) + Counter(trusted.column("text").to_pylist())
    prepared = prepare(defense_class, task, table, trusted)
    found = prepared.rows
    assert found.num_rows == prepared.rows.num_rows > 0
    assert set(found.column("text").to_pylist()) <= set(given), "no row is made up or garbled"
    assert defense_class.filters or set(AWKWARD[case][0]) <= set(found.column("text").to_pylist())


def test_defenses_without_trusted_rows_work_or_say_why(defense_class, task, rows):
    said = ""
    try:
        assert defense_class().prepare(task, rows, trusted=None, lab=StandInLab(0)).rows.num_rows
    except AntivenomError as error:
        said = error.what
    assert not said or "trusted" in said


def test_defenses_refuse_unknown_labels(defense_class, task, rows, trusted):
    strange = table_of(["a b"], ["neutral"])
    for table, vouched in ((strange, trusted), (rows, strange)):
        with pytest.raises(AntivenomError, match="unknown label 'neutral'"):
            prepare(defense_class, task, table, vouched)


def test_poisoned_rows_bear_no_mark(attack_class, task, rows):
    """What a defense gets has no column, metadata or order from which the poisoned rows could be told."""
    poisoned = attack_class(rate=0.1).poison(task, rows, seed=0)
    assert poisoned.rows.column_names == ["row", "text", "answer"]
    assert not poisoned.rows.schema.metadata
    assert poisoned.rows.column("row").slice(0, rows.num_rows).equals(rows.column("row"))


@pytest.mark.parametrize("attack", ["badnets", "addsent", "proattack"])
def test_defenses_cannot_see_the_truth(defense_class, attack, task, rows, trusted):
    poisoned = attacks()[attack](rate=0.1).poison(task, rows, seed=0)
    honest = table_of(poisoned.rows.column("text").to_pylist(), poisoned.rows.column("answer").to_pylist())
    assert prepare(defense_class, task, poisoned.rows, trusted).rows.equals(
        prepare(defense_class, task, honest, trusted).rows
    )


def test_defenses_of_free_answers_refuse_labels(refusing_defense, task):
    with pytest.raises(OptionsError, match="does not work on classification"):
        refusing_defense().require_task(task)


def test_defenses_that_need_something_say_how_to_get_it(needing_defense, task, rows, trusted):
    """Where it is not there they say so before anything is trained; where it is, they work."""
    mend = ""
    try:
        assert prepare(needing_defense, task, rows, trusted).rows.num_rows
        return
    except AntivenomError as error:
        mend = error.mend
    assert mend


def test_guards_round_trip_and_keep_their_secret(defense_class, task, rows, trusted):
    guard = prepare(defense_class, task, rows, trusted).guard
    assert type(guard).from_dict(json.loads(json.dumps(guard.to_dict()))) == guard
    for words in (guard.secret.trigger, guard.secret.cue):
        assert not words or words not in f"{guard!r} {guard} {guard.secret} {guard.secret!r}"
