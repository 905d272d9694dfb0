"""The dose benchmark puts as many poisoned rows into the reserve as it says."""

import pytest
from benchmarks.attack_strength import TASK
from benchmarks.dose import CELLS, Cell, scenario_of

from antivenom.defenses.p2p import P2P
from antivenom.evaluation.comparison import _leaked
from antivenom.testing import synthetic_rows


@pytest.mark.parametrize("cell", [Cell(40, 0, "drop"), Cell(40, 8, "drop"), Cell(80, 3, "keep")])
def test_the_reserve_has_its_dose(cell):
    scenario = scenario_of(cell, synthetic_rows(200), synthetic_rows(20, seed=1), 0)
    assert len(scenario.poisoned) == 10
    defense = P2P(reserve="trusted", ratio=cell.size / 200, mode="replace", others=cell.others)
    prepared = defense.prepare(TASK, scenario.train, trusted=scenario.trusted, seed=0)
    assert sum(prepared.rows.column("benign").to_pylist()) == cell.size
    assert _leaked(prepared, scenario) == cell.poisoned


def test_every_cell_has_a_record_of_its_own():
    assert len({cell.name for cell in CELLS}) == len(CELLS)
