"""Every defense at every stage it has, with the models that it asks for."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest

from antivenom.core.errors import AntivenomError
from antivenom.defenses.base import STAGES, Defense
from antivenom.inference.steps import InputSteps
from antivenom.testing import LinearStandIn, StandInLab, synthetic_rows


def prepared_by(defense_class: type[Defense], task, rows: pa.Table, trusted: pa.Table, lab: StandInLab):
    return defense_class().prepare(task, rows, trusted=trusted, lab=lab)


def test_stages_costs_and_kinds_are_declared(defense_class):
    assert set(defense_class.stages) <= set(STAGES)
    assert defense_class.costs
    assert set(defense_class.kinds) <= {"classification", "generation"}
    overridden = {name for name in ("prepare", "repair") if getattr(defense_class, name) is not getattr(Defense, name)}
    assert ("repair" in defense_class.stages) == ("repair" in overridden)


def test_with_models_too_the_same_seed_gives_the_same(defense_class, task, rows, trusted):
    first, again = (prepared_by(defense_class, task, rows, trusted, StandInLab(4)) for _ in range(2))
    assert first.rows.equals(again.rows)
    assert (first.guard, first.facts) == (again.guard, again.facts)
    assert set(first.rows.column("answer").to_pylist()) <= set(task.labels)
    json.dumps(first.facts)


def test_a_model_that_knows_nothing_breaks_no_defense(defense_class, task, rows, trusted):
    """A referee may have learned nothing at all; the answer is a result, or an error that says so."""

    def ignorant(table: pa.Table, guard):
        return StandInLab().base(guard)

    said = ""
    try:
        assert prepared_by(defense_class, task, rows, trusted, StandInLab(0, ignorant)).rows.num_rows
    except AntivenomError as error:
        said = error.mend or "nothing to mend"
    assert said != "nothing to mend"


def test_a_changed_loss_is_finite_and_one_number_a_token(defense_class, task, rows, trusted):
    changes = prepared_by(defense_class, task, rows, trusted, StandInLab(0)).training
    if changes.loss is None:
        return
    torch = pytest.importorskip("torch")
    logits = torch.randn(5, 11, generator=torch.Generator().manual_seed(0), requires_grad=True)
    for progress in (0.0, 0.5, 1.0):
        found = changes.loss(logits, torch.arange(5), progress)
        assert found.shape == (5,)
        assert torch.isfinite(found).all()
        found.sum().backward()
    assert torch.isfinite(logits.grad).all()
    assert changes.key, "finished fits are told apart by it"


def test_what_is_done_to_inputs_keeps_their_number_and_order(defense_class, task, rows, trusted):
    prepared = prepared_by(defense_class, task, rows, trusted, StandInLab(0))
    model, steps = LinearStandIn.of(prepared, steps=20), InputSteps(prepared.guard)
    texts = [*synthetic_rows(6, seed=8)["text"].to_pylist(), "one", ""]
    purified = steps.purify(texts, model)
    assert len(purified) == len(texts)
    assert all(isinstance(text, str) for text in purified)
    assert purified == steps.purify(texts, model), "the same input is served the same way"
    refused = steps.watch(purified, model.score(purified), model).refused
    assert refused is None or (refused.shape == (len(texts),) and refused.dtype == np.bool_)
