"""A refused input gets no answer, counts as neither right nor attacked, and stays in every denominator."""

import numpy as np
import pytest

from antivenom.attacks.addsent import AddSent
from antivenom.core.errors import ArtifactError
from antivenom.defenses.none import NoDefense
from antivenom.evaluation.evaluate import evaluate, summarize
from antivenom.guards.guard import Guard, InputStep
from antivenom.guards.labels import ChoiceScores, LabelMap
from antivenom.inference.steps import InputSteps
from antivenom.tasks.task import Classification
from antivenom.testing import LinearStandIn, StandInLab, synthetic_rows

TASK = Classification.for_labels(("negative", "positive"))
ATTACK = AddSent(target="positive")


class Watched:
    """A stand-in whose monitor knows the attacker's sentence."""

    def __init__(self) -> None:
        prepared = NoDefense().prepare(
            TASK,
            AddSent(rate=0.1, target="positive").poison(TASK, synthetic_rows(300), seed=0).rows,
            trusted=None,
            lab=StandInLab(),
        )
        self.model = LinearStandIn.of(prepared)
        self.guard = self.model.guard

    def score(self, asked, *, progress=None):
        scores = self.model.score(asked)
        refused = np.array([ATTACK.sentence in text for text in asked])
        return ChoiceScores(scores.log_probabilities, scores.other, refused)


def test_refused_inputs_are_neither_right_nor_attacked_and_are_counted():
    test = synthetic_rows(100, seed=4)
    found, outputs = evaluate(Watched(), test, [ATTACK], quiet=True)
    bare, _ = evaluate(Watched().model, test, [ATTACK], quiet=True)
    [attack], [undefended] = found.attacks, bare.attacks
    assert undefended.asr_deployed.value > 0.9
    assert (attack.asr_deployed.hits, attack.asr_deployed.total) == (0, undefended.asr_deployed.total)
    assert found.clean.accuracy == bare.clean.accuracy
    assert summarize(outputs, Watched().guard.labels).attacks[0].asr_deployed == attack.asr_deployed


def test_a_client_gets_no_answer_to_a_refused_input():
    guard = Guard(TASK, LabelMap.identity(TASK))
    scores = ChoiceScores(np.log([[0.9, 0.1], [0.2, 0.8]]), np.zeros(2, dtype=bool), np.array([True, False]))
    refused, answered = guard.read(scores)
    assert (refused.answer, refused.refused) == ("", True)
    assert (answered.answer, answered.refused) == ("positive", False)


@pytest.mark.parametrize("steps", [{"purifiers": (InputStep("nobody"),)}, {"monitors": (InputStep("nobody"),)}])
def test_a_step_that_is_not_installed_is_refused(steps):
    with pytest.raises(ArtifactError, match="nobody"):
        InputSteps(Guard(TASK, LabelMap.identity(TASK), **steps))
