"""What rows say that rates do not: which were wrong, which the trigger moved and where to, how sure the answers are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from antivenom.core.options import Options
from antivenom.evaluation.conditions import CLEAN, CLEAN_OF, ON_TARGET
from antivenom.evaluation.evaluate import readings_of, truth_of
from antivenom.evaluation.recount import attack_effects, take_outputs
from antivenom.evaluation.text_evaluation import text_right
from antivenom.guards.labels import LabelMap

BINS = 20
"""Of the probability of the attacker's answer."""


@dataclass(frozen=True)
class Effects(Options):
    """Row by row, as a client meets the answers."""

    wrong: tuple[int, ...]
    """Positions of the clean test rows that are answered wrongly, in the attack's own form where it has one; two models
    on the same rows are compared by these."""
    gained: int | None = None
    """Attacked rows that get the attacker's answer with the trigger alone; none without an attack."""
    lost: int | None = None
    """Attacked rows that get it without the trigger alone."""
    rerouted: int | None = None
    """Attacked rows that are answered rightly without the trigger; with it wrongly, but not as the attacker wants."""
    right_without: int | None = None
    """Attacked rows that are answered rightly without the trigger."""
    confidence: tuple[int, ...] = ()
    """Attacked rows by the probability of the attacker's answer among the allowed ones, in `BINS` steps from 0 to 1."""


def effects_of(outputs: pa.Table) -> Effects:
    """Read the stored outputs of an evaluation of one attack."""
    stored = take_outputs(outputs, "these outputs")
    names = list(dict.fromkeys(outputs.column("condition").to_pylist()))
    parts = {name: outputs.filter(pc.equal(outputs.column("condition"), name)) for name in names}
    attacked = [n for n in names if n != CLEAN and not n.startswith((CLEAN_OF, ON_TARGET))]
    twin = parts[attacked[0]].column("twin")[0].as_py() if attacked else CLEAN
    moved = attack_effects(stored, attacked[0]) if attacked else np.zeros(0, dtype=np.int64)
    gained, lost = (int((moved == way).sum()) if attacked else None for way in (1, -1))
    if not isinstance(stored.reading, LabelMap):
        right = text_right(parts[twin], stored.reading)
        return Effects(tuple(int(i) for i in np.flatnonzero(~right)), gained, lost)
    labels = stored.reading
    said, truth = readings_of(parts[twin], labels).deployed, truth_of(parts[twin], labels)
    wrong = tuple(int(i) for i in np.flatnonzero(said != truth))
    if not attacked:
        return Effects(wrong)
    rows = parts[attacked[0]]
    places, target = rows.column("position").to_numpy(), labels.labels.index(rows.column("target")[0].as_py())
    after = readings_of(rows, labels).deployed
    own, was_right = truth_of(rows, labels), said[places] == truth[places]
    return Effects(
        wrong=wrong,
        gained=gained,
        lost=lost,
        rerouted=int((was_right & (after != own) & (after != target)).sum()),
        right_without=int(was_right.sum()),
        confidence=_confidence(rows, labels, target),
    )


def _confidence(rows: pa.Table, labels: LabelMap, target: int) -> tuple[int, ...]:
    """A histogram of the probability of one label among the allowed choices."""
    logs = np.array(rows.column("log_probabilities").to_pylist(), dtype=np.float64)[:, list(labels.allowed)]
    shares = np.exp(logs - np.logaddexp.reduce(logs, axis=1, keepdims=True))
    wanted = [number for number, choice in enumerate(labels.allowed) if labels.meaning[choice] == target]
    counts, _ = np.histogram(shares[:, wanted].sum(axis=1), bins=BINS, range=(0.0, 1.0 + 1e-9))
    return tuple(int(count) for count in counts)
