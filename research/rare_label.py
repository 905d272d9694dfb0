"""How much poison towards a rare label a filter teaches; nothing is trained.

    python -m research.rare_label --data ../shared/data --out results/decisions

SST-2 with fifty positive rows to one negative (`honest_rows.py`). Positive rows are poisoned to be called negative, so
that a share of all rows which is small is a large one of the label.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

from antivenom.attacks import parse_attack
from antivenom.core.console import say
from antivenom.core.errors import RowsError
from antivenom.core.files import write_json
from antivenom.defenses import parse_defense
from antivenom.evaluation.comparison import Scenario, make_scenario
from antivenom.suites.decided import count_teaching, decided_rows
from antivenom.training.lab import LocalLab
from antivenom.training.training_options import TrainingOptions
from research.honest_rows import Loaded, uneven

RARE = "negative"
ATTACKS = {"BadNets": "badnets", "AddSent": "addsent"}
RATES = (0.005, 0.01, 0.02, 0.05)
PROBES = 50
"""Rows that a scenario asks about; nobody reads what it finds."""


def poisoned(loaded: Loaded, spec: str) -> Scenario:
    """The rows with some of them poisoned."""
    task, rows = loaded
    return make_scenario(task, rows, rows.slice(0, PROBES), parse_attack(spec), trusted_share=0, seed=0)


def taught(scenario: Scenario, spec: str, store: Path) -> dict[str, Any]:
    """How many poisoned rows are taught, and how many honest ones are not."""
    lab = LocalLab("smollm2", TrainingOptions(), store, 0, quiet=True)
    facts = {"of_label": scenario.train.column("answer").to_pylist().count(RARE), "poisoned": len(scenario.poisoned)}
    try:
        prepared = parse_defense(spec).prepare(scenario.task, scenario.train, trusted=None, lab=lab)
    except RowsError as error:
        return {**facts, "refused": str(error)}
    rows = decided_rows(scenario.train, frozenset(scenario.poisoned), scenario.unpoisoned, scenario.trusted, prepared)
    counted = count_teaching(rows)
    return {**facts, "poison_taught": counted.poison_taught, "honest_lost": counted.honest_lost}


def main() -> None:
    """Decide about every attack and write one record."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--defense", default="standard")
    asked = parser.parse_args()
    loaded, found = uneven(asked.data), []
    with tempfile.TemporaryDirectory() as store:
        for name, attack in ATTACKS.items():
            for rate in RATES:
                scenario = poisoned(loaded, f"{attack}:rate={rate};target={RARE}")
                found.append({"attack": name, "rate": rate, "seed": 0, **taught(scenario, asked.defense, Path(store))})
                say(str(found[-1]))
    command = f"python -m research.rare_label --data ../shared/data --defense {asked.defense}"
    asked.out.mkdir(parents=True, exist_ok=True)
    path = asked.out / f"rare_label-{asked.defense.partition(':')[0]}.json"
    write_json(path, {"command": command, "decisions": found})


if __name__ == "__main__":
    main()
