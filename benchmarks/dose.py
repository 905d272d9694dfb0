"""How much poison in the reserve is too much? One record per fit.

    python -m benchmarks.dose --data DIR        # runs what has no record yet
    python -m benchmarks.dose --table           # what the records say; runs nothing

1,000 rows of SST-2, AddSent in 5 % of them. The reserve is put together by hand: so many rows, so many of them
poisoned, and the model is trained on these alone (`others="drop"`).
DIR holds `sst2/{train,test}.tsv`. About 3 minutes a fit on one CPU core.
"""

from __future__ import annotations

import json
import sys
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from antivenom.attacks.addsent import AddSent
from antivenom.data.rows import join_rows, split_rows
from antivenom.defenses.p2p import P2P
from antivenom.evaluation.comparison import Scenario, compare, public_command, record
from antivenom.training.lab import LocalLab
from antivenom.training.training_options import TrainingOptions
from benchmarks.attack_strength import SETTINGS, TASK, rows_of
from benchmarks.attack_table import OUTCOME_HEAD, outcome_cells, row
from benchmarks.harness import machine
from benchmarks.missing import run_missing

RECORDS = Path("results/dose")
HEAD = ("rows in the reserve", "poisoned", "share", "other rows", *OUTCOME_HEAD[:-1])


class Cell(NamedTuple):
    """One fit."""

    size: int
    poisoned: int
    others: Literal["keep", "drop"]

    @property
    def name(self) -> str:
        """Of its record and its folder."""
        return f"addsent-{self.others}-{self.size}-{self.poisoned}"


CELLS = (
    *(Cell(400, poisoned, "drop") for poisoned in (0, 2, 4, 8, 16)),
    *(Cell(size, 8, "drop") for size in (200, 800)),
)


def main(argv: list[str] | None = None) -> int:
    """Run the cells that have no record yet, and print the table."""
    prog, cells = "python -m benchmarks.dose", {cell.name: cell for cell in CELLS}
    folder = run_missing(argv, prog=prog, about=__doc__, work="runs/dose", out=RECORDS, cells=cells, run=run)
    print(table(read_records(folder)))
    return 0


def run(cell: Cell, data: Path, work: Path) -> dict[str, Any]:
    """Fit one cell and return its record."""
    settings = tomllib.loads(SETTINGS.read_text(encoding="utf-8"))
    settings = {name: settings[name] for name in ("model", "target", "seed", "training")}
    settings |= {"train_rows": 1000, "test_rows": 300, "reserve": cell._asdict()}
    train, test = rows_of(data, settings)
    scenario = scenario_of(cell, train, test, settings["seed"])
    defense = P2P(reserve="trusted", ratio=cell.size / train.num_rows, mode="replace", cue="split", others=cell.others)
    lab = LocalLab(settings["model"], TrainingOptions(**settings["training"]), work / cell.name, settings["seed"])
    found = record(scenario, compare(scenario, [defense], lab), **settings)
    command = public_command(["python -m benchmarks.dose", *sys.argv[1:]])
    return {**found, "name": cell.name, "machine": machine(), "command": command}


def scenario_of(cell: Cell, train: pa.Table, test: pa.Table, seed: int) -> Scenario:
    """Poison the rows, and vouch for some of them by mistake."""
    attack = replace(AddSent(rate=0.05), target="positive")
    planted = attack.poison(TASK, train, seed=seed)
    is_poisoned = pc.is_in(planted.rows.column("row"), value_set=pa.array(planted.numbers))
    [bad] = split_rows(planted.rows.filter(is_poisoned), [cell.poisoned], seed=seed)
    [good] = split_rows(planted.rows.filter(pc.invert(is_poisoned)), [cell.size - cell.poisoned], seed=seed)
    trusted = join_rows([good, bad]).sort_by("row")
    return Scenario(TASK, planted.rows, trusted, test, attack, planted.numbers, train)


def read_records(folder: Path = RECORDS) -> list[dict[str, Any]]:
    """Every record, the smallest reserve first."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json")]
    return sorted(found, key=lambda r: (r["settings"]["reserve"]["others"], *_numbers(r)))


def table(records: list[dict[str, Any]]) -> str:
    """One line per fit."""
    lines = [row(HEAD), "|" + "---|" * len(HEAD)]
    for found in records:
        [outcome] = found["outcomes"]
        size, poisoned = _numbers(found)
        others = {"drop": "left out", "keep": "trained on"}[found["settings"]["reserve"]["others"]]
        cells = [size, poisoned, f"{poisoned / size:.1%}", others, *outcome_cells(outcome)[:-1]]
        lines.append(row(cells))
    return "\n".join(lines)


def _numbers(found: dict[str, Any]) -> tuple[int, int]:
    reserve = found["settings"]["reserve"]
    return reserve["size"], reserve["poisoned"]


if __name__ == "__main__":
    raise SystemExit(main())
