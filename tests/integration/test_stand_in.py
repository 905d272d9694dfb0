"""The whole of the project in a second: a backdoor, P2P, and the price."""

from __future__ import annotations

import time
from dataclasses import dataclass
from random import Random
from typing import ClassVar

import pyarrow as pa
import pytest

from antivenom.attacks.addsent import AddSent
from antivenom.attacks.badnets import BadNets
from antivenom.attacks.base import Attack
from antivenom.core.errors import RowsError
from antivenom.data.rows import table_of
from antivenom.data.sampling import random_reserve
from antivenom.defenses.none import NoDefense
from antivenom.defenses.p2p import P2P
from antivenom.evaluation.evaluate import evaluate
from antivenom.testing import LinearStandIn, StandInLab, synthetic_rows

TEST = synthetic_rows(400, seed=1)


def poisoned_and_trusted(task, attack) -> tuple[pa.Table, pa.Table]:
    rows = synthetic_rows(800)
    vouched = random_reserve(rows, task.labels, 0.25, seed=0)
    rest = rows.filter(pa.array(~vouched))
    return attack.poison(task, rest, seed=0).rows, rows.filter(pa.array(vouched))


def measure(defense, task, attack):
    train, trusted = poisoned_and_trusted(task, attack)
    model = LinearStandIn.of(defense.prepare(task, train, trusted=trusted, lab=StandInLab(0)))
    found, _ = evaluate(model, TEST, [attack], quiet=True)
    return found.clean, found.attacks[0]


@pytest.mark.parametrize("attack", [BadNets(rate=0.07), AddSent(rate=0.07)], ids=str)
@pytest.mark.parametrize("mode", ["union", "replace"])
def test_p2p_disarms_a_backdoor_at_equal_accuracy(task, attack, mode):
    start = time.process_time()
    clean, attacked = measure(NoDefense(), task, attack)
    assert clean.accuracy.value > 0.95
    assert attacked.asr.value > 0.95
    assert attacked.floor.value < 0.05
    assert attacked.asr_extended is None
    safe, disarmed = measure(P2P(mode=mode), task, attack)
    assert abs(safe.accuracy.value - clean.accuracy.value) < 0.02
    assert disarmed.asr_deployed.value < 0.1
    assert disarmed.asr.value < 0.1
    assert disarmed.alpha.value > 0.9
    assert time.process_time() - start < 5


def test_a_poisoned_reserve_is_taught_again(task):
    """Algorithm 1 read literally: poison that leaks into the reserve comes back in the extended label space."""
    attack = BadNets(rate=0.2)
    train, _ = poisoned_and_trusted(task, attack)
    leaky = P2P(reserve="random", ratio=1.0).prepare(task, train, trusted=None, lab=StandInLab(0))
    found, _ = evaluate(LinearStandIn.of(leaky), TEST, [attack], quiet=True)
    assert found.attacks[0].asr_deployed.value > 0.8


@dataclass(frozen=True, kw_only=True)
class Shout(Attack):
    """An attack that nobody registered."""

    name: ClassVar[str] = "shout"

    def trigger(self, text: str, rng: Random) -> str:
        return f"{text} WOW"


def test_an_attack_of_a_third_party_needs_no_registration(task):
    _, attacked = measure(NoDefense(), task, Shout(rate=0.07))
    assert attacked.asr.value > 0.9
    assert attacked.attack == "shout:rate=0.07"


def test_evaluate_refuses_what_has_no_answer(task):
    model = LinearStandIn.of(NoDefense().prepare(task, synthetic_rows(50), trusted=None, lab=StandInLab(0)))
    with pytest.raises(RowsError, match="there are no test rows"):
        evaluate(model, table_of([], []), quiet=True)
    with pytest.raises(RowsError, match="a label the model does not know: 'neutral'"):
        evaluate(model, table_of(["a"], ["neutral"]), quiet=True)
    with pytest.raises(RowsError, match="every test row has the target label 'negative'"):
        evaluate(model, table_of(["a b"], ["negative"]), [BadNets()], quiet=True)


def test_fitting_a_stand_in_is_deterministic(task):
    prepared = P2P().prepare(task, synthetic_rows(100), trusted=synthetic_rows(20, seed=3), lab=StandInLab(0))
    first, again = (LinearStandIn.of(prepared).score(["a fine tender film", ""]) for _ in range(2))
    assert (first.log_probabilities == again.log_probabilities).all()
    assert first.log_probabilities.shape == (2, 4)
