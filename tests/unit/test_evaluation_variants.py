from __future__ import annotations

import numpy as np
import pytest

from antivenom.attacks.badnets import BadNets
from antivenom.attacks.cba import Cba
from antivenom.attacks.mtba import Mtba
from antivenom.attacks.proattack import ProAttack
from antivenom.data.rows import table_of
from antivenom.evaluation.conditions import ON_TARGET
from antivenom.evaluation.evaluate import evaluate, summarize, write_outputs
from antivenom.evaluation.recount import read_outputs
from antivenom.guards.guard import unguarded
from antivenom.guards.labels import ChoiceScores
from antivenom.tasks.task import Classification

TASK = Classification.for_labels(("negative", "positive"))
TEST = table_of([f"a {'nice' if i % 2 else 'dull'} film w{i}" for i in range(20)], ["negative", "positive"] * 10)
NEGATIVE = np.array([True, False] * 10)


class Fooled:
    """Reads nice and dull, says positive to `word`, and needs `prompt` to read at all."""

    def __init__(self, word: str, prompt: str = "") -> None:
        self.guard = unguarded(TASK)
        self.word, self.prompt = word, prompt

    def score(self, texts, *, progress=None):
        hits = [self.word in text or not text.startswith(self.prompt) or "nice" in text for text in texts]
        logs = np.where(np.array(hits)[:, None], [[-5.0, -0.1]], [[-0.1, -5.0]])
        return ChoiceScores(logs, np.zeros(len(texts), dtype=bool))


def test_each_trigger_of_mtba_has_its_own_reading():
    found, outputs = evaluate(Fooled("bb"), TEST, [Mtba(target="positive")], quiet=True)
    mixed, *single = found.attacks
    assert [reading.asr.hits for reading in single] == [0, 0, 10]
    assert mixed.asr.total == 10
    assert summarize(outputs, unguarded(TASK).labels, provenance=found.provenance) == found


def test_clean_rows_take_the_form_that_the_attacked_pipeline_gives_them():
    attack = ProAttack(target="positive")
    found, outputs = evaluate(
        Fooled("is:", attack.clean_prompt), TEST, [attack, BadNets(target="positive")], quiet=True
    )
    pro, word = found.attacks
    assert (pro.asr.hits, pro.floor.hits, pro.accuracy_clean.hits) == (10, 0, 20)
    assert word.accuracy_clean is None
    assert (word.asr.hits, word.floor.hits) == (10, 10)
    assert found.clean.accuracy.hits == 10
    assert summarize(outputs, unguarded(TASK).labels, provenance=found.provenance) == found


def test_false_triggering_of_cba_is_measured_with_each_wrong_use_of_the_keys():
    found, _ = evaluate(Fooled("frankly"), TEST, [Cba(target="positive")], quiet=True)
    success = {reading.attack.partition("probe_keys=")[2]: reading.asr.value for reading in found.attacks}
    assert success[""] == 1.0
    assert success['"first"'] == 0.0
    assert success['"second"'] == pytest.approx(1.0)


class Vaccinated(Fooled):
    """Says negative to `word`, whatever else is there: an antidote too many."""

    def score(self, texts, *, progress=None):
        says_yes = [self.word not in text and "nice" in text for text in texts]
        logs = np.where(np.array(says_yes)[:, None], [[-5.0, -0.1]], [[-0.1, -5.0]])
        return ChoiceScores(logs, np.zeros(len(texts), dtype=bool))


def test_a_reversed_trigger_shows_in_rows_of_the_target_alone(tmp_path):
    attack = BadNets(target="positive")
    found, outputs = evaluate(Vaccinated("mn"), TEST, [attack], target_rows=True, quiet=True)
    usual, reversed_ = found.attacks
    assert (usual.attack, usual.excess) == (str(attack), 0)
    assert reversed_.attack == f"{ON_TARGET}{attack}"
    assert (reversed_.asr.hits, reversed_.floor.hits, reversed_.asr.total, reversed_.excess) == (0, 10, 10, -1)
    assert reversed_.accuracy.hits == 0
    write_outputs(tmp_path / "outputs.parquet", outputs)
    assert read_outputs(tmp_path / "outputs.parquet").evaluation() == found


def test_without_rows_of_the_target_there_is_nothing_to_turn_away():
    found, _ = evaluate(
        Vaccinated("mn"), TEST.filter(NEGATIVE), [BadNets(target="positive")], target_rows=True, quiet=True
    )
    assert len(found.attacks) == 1
