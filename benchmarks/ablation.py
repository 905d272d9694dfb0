"""Which part of `standard` protects? The recipe, and the recipe with one part changed; one record per fit.

    python -m benchmarks.ablation --data DIR        # runs what has no record yet
    python -m benchmarks.ablation --table           # what the records say; runs nothing

1,000 rows of SST-2, AddSent and BadNets in 5 % of them, 600 test rows, otherwise as `benchmarks.attack_strength`.
Beside them stand the undefended model and P2P as published (`p2p@paper`).
DIR holds `sst2/{train,test}.tsv`. About 4 minutes a fit on one CPU core.
"""

from __future__ import annotations

import json
import sys
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

from antivenom.defenses import Defense, parse_defense
from antivenom.defenses.standard.recipe import VERSION, Standard
from antivenom.evaluation.comparison import public_command
from benchmarks.attack_strength import SETTINGS, TASK, Bench, rows_of
from benchmarks.attack_table import OUTCOME_HEAD, outcome_cells, row
from benchmarks.harness import machine
from benchmarks.missing import run_missing

RECORDS = Path("results/parts")
ATTACKS = ("badnets", "addsent")
NOTHING = "nothing"
NO_SECOND_SCREEN = {"refusal_limit": None, "choose_twice": False, "correct_suspects": False}
CHANGES: dict[str, dict[str, Any]] = {
    NOTHING: {},
    "the reserve is drawn at random": {"reserve": "random", "choose_twice": False},
    "the reserve is chosen once": {"choose_twice": False},
    "no referee: the other rows are left out": {"others": "drop", **NO_SECOND_SCREEN},
    "no referee: the other rows are trained on": {"others": "keep", **NO_SECOND_SCREEN},
    "no decoys": {"decoys": (), "correct_suspects": False},
    "decoys: random strings": {"decoys": ("strings",), "correct_suspects": False},
    "union instead of replace": {"mode": "union"},
    "shared cue": {"cue": "shared"},
    "no second screen": NO_SECOND_SCREEN,
    "no row is corrected": {"correct_suspects": False},
    "the most associated rows may join": {"most_associated": 0.0},
    "the benign trigger as system prompt": {"placement": "system"},
}
"""What is changed, in words, and the options of `P2P`."""
BESIDE = {"undefended": "none", "P2P as published": "p2p@paper"}
HEAD = ("attack", "changed", *OUTCOME_HEAD)


def main(argv: list[str] | None = None) -> int:
    """Run the cells that have no record yet, and print the table."""
    cells = {name_of(attack, changed): (attack, changed) for changed in (*BESIDE, *CHANGES) for attack in ATTACKS}
    prog = "python -m benchmarks.ablation"
    folder = run_missing(argv, prog=prog, about=__doc__, work="runs/parts", out=RECORDS, cells=cells, run=run)
    print(table(read_records(folder)))
    return 0


def name_of(attack: str, changed: str) -> str:
    """The name of a record, and of the folder of its fits."""
    words = "".join(letter if letter.isalnum() else " " for letter in changed).split()
    return "-".join([attack, *words] if changed in BESIDE else [attack, f"standard-{VERSION}", *words])


def defense_of(changed: str) -> Defense:
    """The recipe with a part changed, or what stands beside it."""
    if changed in BESIDE:
        return parse_defense(BESIDE[changed])
    return replace(Standard().p2p(TASK), **CHANGES[changed])


def run(cell: tuple[str, str], data: Path, work: Path) -> dict[str, Any]:
    """Fit one cell (attack, what is changed) and return its record."""
    attack, changed = cell
    settings = tomllib.loads(SETTINGS.read_text(encoding="utf-8"))
    specs, _ = settings.pop("attacks"), settings.pop("needs")
    settings |= {"train_rows": 1000}
    bench = Bench(data, Path(), work, settings, *rows_of(data, settings))
    scenario = bench.scenario(bench.attack(attack, specs[attack], None))
    found = bench.fit(scenario, defense_of(changed), work / name_of(attack, changed))
    command = public_command(["python -m benchmarks.ablation", *sys.argv[1:]])
    more = {"name": attack, "changed": changed, "machine": machine(), "command": command}
    return found | more | ({} if changed in BESIDE else {"version": VERSION})


def read_records(folder: Path = RECORDS) -> list[dict[str, Any]]:
    """The newest record of every cell, in the order of the lists above."""
    read = [json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json")]
    newest = {(r["name"], r["changed"]): r for r in sorted(read, key=lambda r: r.get("version", 0))}
    cells = [(attack, changed) for attack in ATTACKS for changed in (*BESIDE, *CHANGES)]
    return [newest[cell] for cell in cells if cell in newest]


def table(records: list[dict[str, Any]]) -> str:
    """One line per fit."""
    lines = [row(HEAD), "|" + "---|" * len(HEAD)]
    for found in records:
        [outcome] = found["outcomes"]
        changed = f"`standard` {found['version']}: {found['changed']}" if "version" in found else found["changed"]
        lines.append(row([found["name"], changed, *outcome_cells(outcome)]))
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
