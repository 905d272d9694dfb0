from __future__ import annotations

from pathlib import Path

import pytest

from antivenom.suites.executors import Here
from antivenom.suites.run import run_suite

SMALL = """
about: as small as can be
tasks: {made up: {train: "synthetic:80", test: "synthetic:40", target: positive}}
models: {tiny: tiny}
attacks: {BadNets: "badnets:rate=0.1"}
defenses: {undefended: none, quarantine: quarantine, standard: standard, future: a_defense_of_the_future}
recipes: {short: {learning_rate: 0.01, batch_size: 32, epochs: 1}}
controls: {never_poisoned: [undefended], perfect_filter: [undefended]}
"""


@pytest.fixture(scope="session")
def small_suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("suite") / "small.yaml"
    path.write_text(SMALL, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def results(small_suite: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished results of a suite with one attack, three defenses, both controls and a method nobody wrote."""
    out = tmp_path_factory.mktemp("results")
    run_suite(small_suite, out=out, data=Path(), executor=Here(), quiet=True)
    return out
