"""Which rows an evaluation asks about: the clean ones, and those of every attack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from antivenom.attacks import Attack
from antivenom.attacks.base import wanted_already
from antivenom.core.errors import RowsError
from antivenom.tasks.task import Task

CLEAN = "clean"
CLEAN_OF = "clean of "
ON_TARGET = "rows of the target: "


class Condition(NamedTuple):
    """Rows to score together, as `evaluation.OUTPUTS_SCHEMA` describes them."""

    name: str
    target: str
    twin: str
    rows: pa.Table
    positions: Any
    group: str = ""


def plan(
    task: Task, test: pa.Table, attacks: Sequence[Attack], seed: int, *, target_rows: bool = False
) -> list[Condition]:
    """Which rows are asked: the clean ones, and those of every attack; if wanted those of its target label as well.

    Raises:
        RowsError: an attack has no row of another answer than its target.
    """
    everywhere = np.arange(test.num_rows)
    conditions = [Condition(CLEAN, "", "", test, everywhere)]
    for condition, attack in {str(attack): attack for attack in attacks}.items():
        target = task.target(attack.target)
        is_target = wanted_already(task, test, target)
        places = np.flatnonzero(~is_target)
        if not len(places):
            raise RowsError(f"every test row has the target label {target!r}, so there is nothing to attack")
        own, twin = attack.clean(task, test), CLEAN
        if own is not test:
            twin = f"{CLEAN_OF}{condition}"
            conditions.append(Condition(twin, "", "", own, everywhere))
        for variant in attack.variants():
            if str(variant) not in {known.name for known in conditions}:
                probes = variant.probes(task, test, seed=seed)
                group = condition if variant in attack.averaged() else ""
                conditions.append(Condition(str(variant), target, twin, probes, places, group))
                if target_rows and is_target.any():
                    probes = variant.probes_of_target(task, test, seed=seed)
                    name = f"{ON_TARGET}{variant}"
                    conditions.append(Condition(name, target, twin, probes, np.flatnonzero(is_target)))
    return conditions
