"""What a frozen trunk costs in quality: the demo's comparison with LoRA on the top 4, 8, 12 and all layers.

`python -m benchmarks.frozen_trunk --out runs/frozen_trunk` goes on where it was stopped: finished fits are used again,
and every finished cell has a record in results/frozen_trunk/. `--table` only prints what is there.
"""

from __future__ import annotations

import argparse
import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

from antivenom.core.files import write_json
from antivenom.data.rows import split_rows
from antivenom.defenses.none import NoDefense
from antivenom.defenses.p2p import P2P
from antivenom.demo import RECIPE
from antivenom.evaluation.comparison import compare, make_scenario, record
from antivenom.training.lab import LocalLab
from benchmarks.harness import machine
from benchmarks.reviews import ATTACK, TASK, reviews

TOPS = (4, 8, 12, None)
DEFENSES = (NoDefense(), P2P(mode="replace", cue="split"))
RECORDS = Path("results/frozen_trunk")


def main() -> int:
    """Run the cells that have no record yet, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.frozen_trunk", description=__doc__, allow_abbrev=False)
    parser.add_argument("--out", type=Path, default=Path("runs/frozen_trunk"), help="folder of the fits")
    parser.add_argument("--model", default="smollm2", help="smollm2 or a folder")
    parser.add_argument("--train-rows", type=int, default=1200)
    parser.add_argument("--test-rows", type=int, default=400)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--tops", type=int, nargs="+", default=[t or 0 for t in TOPS], help="0 stands for all layers")
    parser.add_argument("--table", action="store_true", help="print the records, run nothing")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    cells = [(seed, top or None) for seed in asked.seeds for top in asked.tops]
    for seed, top in [] if asked.table else cells:
        path = RECORDS / f"{_name(top)}-seed-{seed}-rows-{asked.train_rows}.json"
        if not path.exists():
            write_json(path, _cell(asked, seed, top))
    print(_table([json.loads(path.read_text(encoding="utf-8")) for path in sorted(RECORDS.glob("*.json"))]))
    return 0


def _cell(asked: argparse.Namespace, seed: int, top: int | None) -> dict[str, Any]:
    """One comparison: the same rows and seed for every number of layers."""
    train, test = split_rows(reviews(), [asked.train_rows, asked.test_rows], seed=seed)
    scenario = make_scenario(TASK, train, test, ATTACK, trusted_share=0.25, seed=seed)
    options = replace(RECIPE, top_layers=top)
    lab = LocalLab(asked.model, options, asked.out / f"{_name(top)}-seed-{seed}", seed, quiet=False)
    outcomes = compare(scenario, DEFENSES, lab)
    settings = {"training": options.to_dict(), "model": asked.model, "seed": seed, "top_layers": top}
    return {**record(scenario, outcomes, **settings), "machine": machine()}


def _name(top: int | None) -> str:
    return "all" if top is None else f"top-{top:02d}"


def _table(records: list[dict[str, Any]]) -> str:
    """One line per cell and defense."""
    lines = ["| layers | seed | rows | defense | accuracy | floor | ASR projected | ASR deployed | training s |"]
    lines.append("|---|---|---|---|---|---|---|---|---|")
    for found in records:
        settings = found["settings"]
        for outcome in found["outcomes"]:
            clean, [attack] = outcome["evaluation"]["clean"], outcome["evaluation"]["attacks"]
            rates = [clean["accuracy"], attack["floor"], attack["asr"], attack["asr_deployed"]]
            cells = [
                settings["top_layers"] or "all",
                settings["seed"],
                found["rows"]["train"],
                outcome["defense"]["name"],
                *(f"{100 * rate['hits'] / rate['total']:.1f}" for rate in rates),
                f"{outcome['train_seconds']:.0f}",
            ]
            lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
