from __future__ import annotations

from random import Random

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from antivenom.attacks import parse_attack
from antivenom.attacks.badnets import BadNets
from antivenom.data.rows import load_rows, table_of
from antivenom.evaluation.evaluate import evaluate
from antivenom.guards.guard import unguarded
from antivenom.guards.labels import ChoiceScores
from antivenom.tasks.task import Classification


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


@pytest.mark.parametrize(("target", "attacked"), [("positive", 912), ("negative", 909)])
def test_the_denominators_on_sst2_are_those_of_the_papers_tables(task, sst2, target, attacked):
    assert len(BadNets().poison(task, sst2["train"], seed=0).indices) == 139
    probes = BadNets(target=target).probes(task, sst2["test"], seed=0)
    assert probes.num_rows == attacked
    assert target not in probes.column("answer").to_pylist()


def test_a_thousand_rows_of_ag_news_leave_750_to_attack(shared):
    labels = ("World", "Sports", "Business", "Sci/Tech")
    table = load_rows(shared / "ag/test.tsv", labels=labels).table
    table = pa.concat_tables([table.filter(pc.equal(table["answer"], label)).slice(0, 250) for label in labels])
    probes = BadNets(target="World").probes(Classification.for_labels(labels), table, seed=0)
    assert (table.num_rows, probes.num_rows) == (1000, 750)


class AlwaysPositive:
    """Has learned nothing: the model behind the paper's cell with CA 49.92 and ASR 100."""

    def __init__(self, task: Classification) -> None:
        self.guard = unguarded(task)

    def score(self, texts, *, progress=None):
        return ChoiceScores(np.tile([-5.0, -0.01], (len(texts), 1)), np.zeros(len(texts), dtype=bool))


def test_a_model_that_always_says_positive_is_flagged_on_sst2(task, sst2):
    found, _ = evaluate(AlwaysPositive(task), sst2["test"], [BadNets(target="positive")], quiet=True)
    assert round(100 * found.clean.accuracy.value, 2) == 49.92
    assert (found.attacks[0].asr.hits, found.attacks[0].asr.total) == (912, 912)
    assert found.attacks[0].excess == 0.0
    assert found.clean.collapsed
