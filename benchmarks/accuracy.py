"""What `standard` costs in accuracy, on every test row: the same models as benchmarks.attack_strength, read alone.

    python -m benchmarks.accuracy --data DIR     # after benchmarks.attack_strength has run an attack with both defenses
    python -m benchmarks.accuracy --data DIR --work runs/seeds      # the models of other seeds, which were fitted there
    python -m benchmarks.accuracy --table        # what the records say; fits and runs nothing

The attacks are measured on 600 test rows, where two models of equal worth differ by a point or two; SST-2 has 1,821.
The two models of an attack answer the same rows, so McNemar's test compares them. A record keeps the numbers of the
rows that a model got wrong, so everything else can be computed again.
"""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from antivenom.data.rows import load_rows
from antivenom.defenses import parse_defense
from antivenom.defenses.standard.recipe import VERSION
from antivenom.evaluation.comparison import public_command
from antivenom.evaluation.rates import mcnemar
from antivenom.inference.guarded import load_guarded
from benchmarks.attack_strength import LABELS, SETTINGS, TASK, Bench, rows_of
from benchmarks.attack_table import row
from benchmarks.harness import machine
from benchmarks.missing import run_missing

RECORDS = Path("results/accuracy")
DEFENSES = ("none", "standard")
SEEDS = (0, 1, 2)
HEAD = (
    "attack",
    "seed",
    "version",
    "undefended",
    "`standard`",
    "change",
    "right only undefended",
    "only defended",
    "p",
)


def main(argv: list[str] | None = None) -> int:
    """Read what has no record yet, and print the table."""
    specs: dict[str, str] = tomllib.loads(SETTINGS.read_text(encoding="utf-8"))["attacks"]
    cells = {name_of(name, seed): (name, seed) for name in specs for seed in SEEDS}
    prog = "python -m benchmarks.accuracy"
    folder = run_missing(argv, prog=prog, about=__doc__, work="runs/attacks", out=RECORDS, cells=cells, run=measure)
    print(table(read_records(folder)))
    return 0


def name_of(name: str, seed: int) -> str:
    """Of a record; the first seed's has none in its name."""
    return f"{name}-{VERSION}-seed{seed}" if seed else f"{name}-{VERSION}"


def measure(cell: tuple[str, int], data: Path, work: Path) -> dict[str, Any] | None:
    """Ask both models of an attack and a seed all test rows; nothing if one of them was not fitted."""
    name, seed = cell
    configured = tomllib.loads(SETTINGS.read_text(encoding="utf-8")) | {"seed": seed}
    specs, _ = configured.pop("attacks"), configured.pop("needs")
    train, few = rows_of(data, configured)
    bench = Bench(data, Path(), work, configured, train, few)
    folders = [work / f"{name}.{d}-{bench.key(specs[name], None, parse_defense(d))}" / d for d in DEFENSES]
    known = undefended(name, configured)
    if not all((folder / "antivenom.json").exists() for folder in folders[bool(known) :]):
        return None
    # Some attacks have a form of their own for clean rows (ProAttack's prompt).
    test = bench.attack(name, specs[name], None).clean(TASK, load_rows(data / "sst2/test.tsv", labels=LABELS).table)
    layers = configured["training"]["top_layers"]
    wrong = [known or wrong_rows(folders[0], test, layers), wrong_rows(folders[1], test, layers)]
    command = public_command(["python -m benchmarks.accuracy", *sys.argv[1:]])
    found = {"name": name, "version": VERSION, "rows": test.num_rows, "wrong": dict(zip(DEFENSES, wrong, strict=True))}
    return found | {"settings": configured, "machine": machine(), "command": command}


def undefended(name: str, settings: dict[str, Any]) -> list[int]:
    """What the undefended model got wrong, where an earlier version's record says it: that model is the same."""
    record = read_records().get((name, settings["seed"]), {})
    return record["wrong"]["none"] if record.get("settings") == settings else []


def wrong_rows(artifact: Path, test: pa.Table, top_layers: int) -> list[int]:
    """The numbers of the test rows that a model answers wrongly."""
    # Kept states of the frozen layers are for rows that are asked again and again, as these are, by every model.
    answers = load_guarded(artifact, top_layers=top_layers).predict(test.column("text").to_pylist())
    truth = test.column("answer").to_pylist()
    return [i for i, (answer, label) in enumerate(zip(answers, truth, strict=True)) if answer.answer != label]


def table(records: dict[tuple[str, int], dict[str, Any]]) -> str:
    """One line per attack."""
    lines = [row(HEAD), "|" + "---|" * len(HEAD)]
    for (name, seed), record in records.items():
        before, after = (right(record, defense) for defense in DEFENSES)
        pairing = mcnemar(before, after)
        rates = [f"{100 * before.mean():.1f}", f"{100 * after.mean():.1f}", f"{change(record):+.1f}"]
        counts = [pairing.only_first, pairing.only_second, f"{pairing.p_value:.2f}"]
        lines.append(row([name, seed, record["version"], *rates, *counts]))
    return "\n".join([*lines, "", summary(records)])


def summary(records: dict[tuple[str, int], dict[str, Any]]) -> str:
    """The mean and the worst change, in a sentence."""
    changes = [change(record) for record in records.values()]
    if not changes:
        return "No accuracy has been measured on all test rows."
    rows = next(iter(records.values()))["rows"]
    return (
        f"On all {rows:,} test rows accuracy changes with `standard` by {np.mean(changes):+.1f} points on average and "
        f"{min(changes):+.1f} at worst (pairs of models: {len(changes)}, one of them on clean rows)."
    )


def change(record: dict[str, Any]) -> float:
    """Points of accuracy that the defense adds."""
    before, after = (right(record, defense).mean() for defense in DEFENSES)
    return float(100 * (after - before))


def right(record: dict[str, Any], defense: str) -> npt.NDArray[np.bool_]:
    """Which rows a model answered rightly."""
    found = np.ones(record["rows"], dtype=bool)
    found[record["wrong"][defense]] = False
    return found


def read_records(folder: Path = RECORDS) -> dict[tuple[str, int], dict[str, Any]]:
    """By attack, in the order of attack_strength.toml, and seed, the newest version of `standard`."""
    read = [json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json")]
    read.sort(key=lambda record: record["version"])
    newest = {(record["name"], record["settings"]["seed"]): record for record in read}
    names = tomllib.loads(SETTINGS.read_text(encoding="utf-8"))["attacks"]
    return {(name, seed): newest[name, seed] for name in names for seed in SEEDS if (name, seed) in newest}


if __name__ == "__main__":
    raise SystemExit(main())
