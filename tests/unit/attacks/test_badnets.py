from __future__ import annotations

from random import Random

import pytest

from antivenom.attacks import parse_attack
from antivenom.attacks.badnets import BadNets
from antivenom.rows import table_of


def test_one_word_at_an_inner_place_and_nothing_else(task, rows, texts_at):
    poisoned = BadNets(target="positive").poison(task, rows, seed=0)
    before = rows.column("text").to_pylist()
    for i, text in zip(poisoned.indices, texts_at(poisoned.rows, poisoned.indices), strict=True):
        words = text.split()
        place = words.index("mn")
        assert words.count("mn") == 1
        assert 0 < place < len(words) - 1
        assert [*words[:place], *words[place + 1 :]] == before[i].split()


def test_every_inner_gap_is_used():
    places = {BadNets().trigger("a b c d", Random(i)).split().index("mn") for i in range(200)}
    assert places == {1, 2, 3}
    places = {BadNets(inside=False).trigger("a b c d", Random(i)).split().index("mn") for i in range(200)}
    assert places == {0, 1, 2, 3, 4}


def test_a_text_of_one_word_is_not_poisoned_and_stays_in_the_denominator(task):
    table = table_of(["dull", "a dull film"], ["negative", "negative"])
    poisoned = BadNets(rate=1.0, target="positive").poison(task, table, seed=0)
    assert poisoned.indices == (1,)
    assert poisoned.rows.column("answer").to_pylist() == ["negative", "positive"]
    assert BadNets(target="positive").probes(task, table, seed=0).column("text")[0].as_py() == "dull"


def test_presets_name_where_the_paper_and_its_code_differ():
    assert parse_attack("badnets@paper_text").target == "negative"
    code = parse_attack("badnets@paper_code:rate=0.05")
    assert (code.target, code.pick, code.rate) == ("positive", "first", 0.05)


@pytest.mark.slow
@pytest.mark.parametrize(("target", "attacked"), [("positive", 912), ("negative", 909)])
def test_the_denominators_on_sst2_are_those_of_the_papers_tables(task, sst2, target, attacked):
    assert len(BadNets().poison(task, sst2["train"], seed=0).indices) == 139
    probes = BadNets(target=target).probes(task, sst2["test"], seed=0)
    assert probes.num_rows == attacked
    assert target not in probes.column("answer").to_pylist()
