"""What would `standard` cost if it left out the poison and nothing else? A control that knows which rows are poisoned.

    python -m benchmarks.perfect_filter --data DIR     # after benchmarks.accuracy, whose undefended models it is beside
    python -m benchmarks.perfect_filter --table        # what the records say; fits and runs nothing

P2P as in `standard` (replace, split cue, as many steps as over all rows) on all rows but the poisoned ones, without
decoys. An undefended model that is better than this one owes it to the poison or to chance, and no choice of rows can
make up for it. All 1,821 test rows of SST-2; about 8 minutes a fit on one CPU core.
"""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from antivenom.data.rows import load_rows
from antivenom.defenses.p2p import P2P
from antivenom.evaluation.comparison import public_command
from antivenom.evaluation.rates import mcnemar
from antivenom.training.lab import LocalLab
from antivenom.training.training_options import TrainingOptions
from benchmarks import accuracy
from benchmarks.accuracy import SEEDS, right, wrong_rows
from benchmarks.attack_strength import LABELS, SETTINGS, TASK, Bench, rows_of
from benchmarks.attack_table import row
from benchmarks.harness import machine
from benchmarks.missing import run_missing

RECORDS = Path("results/perfect_filter")
ATTACKS = ("clean", "addsent", "cba")
CELLS = {f"{name}-seed{seed}": (name, seed) for name in ATTACKS for seed in SEEDS}
DEFENSE = P2P(reserve="trusted", ratio=1.0, others="drop", mode="replace", cue="split")
"""All rows that are vouched for, and no others."""
HEAD = ("attack", "seed", "left out", "undefended", "perfect filter", "change", "p", "`standard`", "change", "version")
Record = dict[str, Any]


def main(argv: list[str] | None = None) -> int:
    """Run the cells that have no record yet, and print the table."""
    prog = "python -m benchmarks.perfect_filter"
    folder = run_missing(argv, prog=prog, about=__doc__, work="runs/perfect", out=RECORDS, cells=CELLS, run=run)
    print(table(read_records(folder), accuracy.read_records()))
    return 0


def run(cell: tuple[str, int], data: Path, work: Path) -> Record:
    """Fit on all rows but the poisoned ones, and ask all test rows."""
    name, seed = cell
    configured = tomllib.loads(SETTINGS.read_text(encoding="utf-8")) | {"seed": seed}
    specs, _ = configured.pop("attacks"), configured.pop("needs")
    bench = Bench(data, Path(), work, configured, *rows_of(data, configured))
    attack = bench.attack(name, specs[name], None)
    scenario = bench.scenario(attack)
    poisoned = pa.array(np.isin(scenario.train.column("row").to_numpy(), scenario.poisoned))
    lab = LocalLab(configured["model"], TrainingOptions(**configured["training"]), work, seed)
    honest, poison = (scenario.train.filter(mask) for mask in (pc.invert(poisoned), poisoned))
    _, folder, _ = lab.defended(DEFENSE, TASK, poison, trusted=honest, name=f"{name}-seed{seed}")
    test = attack.clean(TASK, load_rows(data / "sst2/test.tsv", labels=LABELS).table)
    wrong = wrong_rows(folder, test, configured["training"]["top_layers"])
    found = {"name": name, "rows": test.num_rows, "wrong": {"perfect": wrong}, "left_out": poison.num_rows}
    command = public_command(["python -m benchmarks.perfect_filter", *sys.argv[1:]])
    return found | {"settings": configured, "machine": machine(), "command": command}


def table(records: dict[tuple[str, int], Record], beside: dict[tuple[str, int], Record]) -> str:
    """One line per attack and seed that benchmarks.accuracy has a record of, too; p is McNemar's."""
    lines = [row(HEAD), "|" + "---|" * len(HEAD)]
    lines += [row(_cells(cell[0], record, beside[cell])) for cell, record in records.items() if cell in beside]
    return "\n".join(lines)


def _cells(title: str, record: Record, beside: Record) -> list[object]:
    before, after, perfect = right(beside, "none"), right(beside, "standard"), right(record, "perfect")
    changes = [f"{100 * (found.mean() - before.mean()):+.1f}" for found in (perfect, after)]
    rates = [f"{100 * found.mean():.1f}" for found in (before, perfect, after)]
    p_value = f"{mcnemar(before, perfect).p_value:.2f}"
    head = [title, record["settings"]["seed"], record["left_out"]]
    return [*head, *rates[:2], changes[0], p_value, rates[2], changes[1], beside["version"]]


def read_records(folder: Path = RECORDS) -> dict[tuple[str, int], Record]:
    """By attack and seed."""
    found = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json")}
    return {cell: found[name] for name, cell in CELLS.items() if name in found}


if __name__ == "__main__":
    raise SystemExit(main())
