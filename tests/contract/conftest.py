from __future__ import annotations

import pyarrow as pa
import pytest

from antivenom.attacks import attacks
from antivenom.data.sampling import random_reserve
from antivenom.defenses import defenses
from antivenom.testing import synthetic_rows


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every registered method gets every contract test; no list is kept by hand."""
    usable = {name: cls for name, cls in attacks().items() if not cls.needs}
    needing = {name: cls for name, cls in attacks().items() if cls.needs}
    kind = "generation" if metafunc.module.__name__.endswith("free_answers") else "classification"
    works = {name: cls for name, cls in defenses().items() if kind in cls.kinds and not cls.needs}
    refusing = {name: cls for name, cls in defenses().items() if kind not in cls.kinds}
    asking = {name: cls for name, cls in defenses().items() if cls.needs}
    kinds = (
        ("attack_class", usable),
        ("needing_class", needing),
        ("defense_class", works),
        ("refusing_defense", refusing),
        ("needing_defense", asking),
    )
    for argument, found in kinds:
        if argument in metafunc.fixturenames:
            metafunc.parametrize(argument, found.values(), ids=list(found))
    if "method_class" in metafunc.fixturenames:
        both = {**attacks(), **defenses()}
        metafunc.parametrize("method_class", both.values(), ids=list(both))


@pytest.fixture(scope="session")
def trusted(task) -> pa.Table:
    table = synthetic_rows(100, seed=7)
    return table.filter(pa.array(random_reserve(table, task.labels, 0.5, seed=0)))
