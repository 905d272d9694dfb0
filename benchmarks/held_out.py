"""Attacks that `standard` was not built on: undefended, and with the recipe. One record per fit.

    python -m benchmarks.held_out --data DIR        # runs what has no record yet
    python -m benchmarks.held_out --table           # what the records say; runs nothing

1,000 rows of SST-2, 10 % of them poisoned by an attack of benchmarks/held_out_attacks/ (its modules say which version
of the recipe was fixed when they were written), 600 test rows, otherwise as `benchmarks.attack_strength`.
DIR holds `sst2/{train,test}.tsv`. About 4 minutes a fit on one CPU core.

The cells called `never_poisoned` put an attack's trigger into test rows that an undefended model of the same training
rows answers, none of them poisoned (one fit for all): an excess of that size is no backdoor.
"""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path
from typing import Any

from antivenom.defenses import parse_defense
from antivenom.defenses.standard.recipe import VERSION
from antivenom.evaluation.comparison import public_command
from benchmarks.attack_strength import SETTINGS, Bench, rows_of
from benchmarks.attack_table import OUTCOME_HEAD, outcome_cells, row
from benchmarks.harness import machine
from benchmarks.held_out_attacks import ATTACKS
from benchmarks.missing import run_missing

RECORDS = Path("results/held_out")
RATE = 0.1
NEVER_POISONED = "never_poisoned"
CELLS = {
    f"{attack}-{name}": (attack, name) for attack in ATTACKS for name in ("none", f"standard-{VERSION}", NEVER_POISONED)
}
HEAD = ("attack", "defense", *OUTCOME_HEAD)


def main(argv: list[str] | None = None) -> int:
    """Run the cells that have no record yet, and print the table."""
    prog = "python -m benchmarks.held_out"
    folder = run_missing(argv, prog=prog, about=__doc__, work="runs/held_out", out=RECORDS, cells=CELLS, run=run)
    print(table(read_records(folder)))
    return 0


def run(cell: tuple[str, str], data: Path, work: Path) -> dict[str, Any]:
    """Fit one cell (attack, what is done about it) and return its record."""
    name, done = cell
    settings = tomllib.loads(SETTINGS.read_text(encoding="utf-8"))
    del settings["attacks"], settings["needs"]
    settings |= {"train_rows": 1000}
    bench = Bench(data, Path(), work, settings, *rows_of(data, settings))
    alone = done == NEVER_POISONED
    attack = ATTACKS[name](rate=0.0 if alone else RATE, target=settings["target"])
    defense = parse_defense("none" if alone else done.partition("-")[0])
    folder = work / (NEVER_POISONED if alone else f"{name}-{defense.name}-{VERSION}")
    command = public_command(["python -m benchmarks.held_out", *sys.argv[1:]])
    found = bench.fit(bench.scenario(attack), defense, folder)
    return found | {"name": name, "machine": machine(), "command": command}


def read_records(folder: Path = RECORDS) -> list[dict[str, Any]]:
    """By attack: nobody poisoned, undefended, and each version of `standard` that was run, of which the first had not
    met the attack."""
    read = [json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json")]
    place = {name: number for number, name in enumerate(ATTACKS)}
    return sorted(read, key=lambda found: (place[found["name"]], found["rows"]["poisoned"] > 0, version_of(found)))


def version_of(found: dict[str, Any]) -> int:
    """The version of `standard` in a record, 0 where nothing defends."""
    [outcome] = found["outcomes"]
    return int(outcome.get("reserve", {}).get("recipe", "standard-0").rpartition("-")[2])


def table(records: list[dict[str, Any]]) -> str:
    """One line per fit."""
    return "\n".join([row(HEAD), "|" + "---|" * len(HEAD), *(row(_cells(found)) for found in records)])


def _cells(found: dict[str, Any]) -> list[str]:
    [outcome] = found["outcomes"]
    cells = outcome_cells(outcome)
    if not found["rows"]["poisoned"]:
        return [found["name"], "nobody poisoned", *cells[:-1], "0"]
    defense = f"`standard` {version_of(found)}" if version_of(found) else "undefended"
    return [found["name"], defense, *cells]


if __name__ == "__main__":
    raise SystemExit(main())
