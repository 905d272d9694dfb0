"""The dose benchmark puts as many poisoned rows into the reserve as it says."""

from dataclasses import replace

import pyarrow as pa
import pytest
from benchmarks.attack_strength import TASK
from benchmarks.dose import CELLS, Cell, scenario_of

from antivenom.defenses.p2p import P2P
from antivenom.evaluation.comparison import _taught_of_poison
from antivenom.testing import StandInLab, synthetic_rows


@pytest.mark.parametrize("cell", [Cell(40, 0, "drop"), Cell(40, 8, "drop"), Cell(80, 3, "keep")])
def test_the_reserve_has_its_dose(cell):
    scenario = scenario_of(cell, synthetic_rows(200), synthetic_rows(20, seed=1), 0)
    assert len(scenario.poisoned) == 10
    defense = P2P(reserve="trusted", ratio=cell.size / 200, mode="replace", others=cell.others)
    prepared = defense.prepare(TASK, scenario.train, trusted=scenario.trusted, lab=StandInLab(0))
    assert sum(prepared.rows.column("benign").to_pylist()) == cell.size
    assert _taught_of_poison(prepared, scenario) == (cell.poisoned, 0)


def test_poisoned_rows_that_get_another_answer_count_apart():
    scenario = scenario_of(Cell(40, 8, "drop"), synthetic_rows(200), synthetic_rows(20, seed=1), 0)
    defense = P2P(reserve="trusted", ratio=0.2, mode="replace", others="drop")
    prepared = defense.prepare(TASK, scenario.train, trusted=scenario.trusted, lab=StandInLab(0))
    mended = [
        row | {"answer": "negative"} if row["row"] in scenario.poisoned[:3] else row
        for row in prepared.rows.to_pylist()
    ]
    taught = {row["row"] for row in mended} & set(scenario.poisoned[:3])
    corrected = replace(prepared, rows=pa.Table.from_pylist(mended, schema=prepared.rows.schema))
    assert _taught_of_poison(corrected, scenario) == (8 - len(taught), len(taught))
    assert taught


def test_every_cell_has_a_record_of_its_own():
    assert len({cell.name for cell in CELLS}) == len(CELLS)
