"""What triggers do to models that nobody poisoned: no defense can get under that.

    python -m benchmarks.never_poisoned --data DIR     # after benchmarks.attack_strength has run `clean`
    python -m benchmarks.never_poisoned --table        # what the records say; fits and runs nothing

The two models are those that `benchmarks.attack_strength --only clean --defense none --defense standard` fitted on the
rows as they are; each is measured with the triggers of all attacks below.
"""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path
from typing import Any

from antivenom.core.errors import AntivenomError
from antivenom.defenses import parse_defense
from antivenom.evaluation.comparison import public_command
from antivenom.evaluation.evaluate import evaluate
from antivenom.inference.guarded import load_guarded
from benchmarks.attack_strength import SETTINGS, Bench, rows_of
from benchmarks.attack_table import row
from benchmarks.harness import machine
from benchmarks.missing import run_missing

RECORDS = Path("results/never_poisoned")
DEFENSES = ("none", "standard")
ATTACKS = ("badnets", "addsent", "synattack", "proattack_code", "ctba", "mtba_one", "misspelling", "thin_60")


def main(argv: list[str] | None = None) -> int:
    """Measure what has no record yet, and print the table."""
    prog = "python -m benchmarks.never_poisoned"
    cells = {name: name for name in DEFENSES}
    folder = run_missing(argv, prog=prog, about=__doc__, work="runs/attacks", out=RECORDS, cells=cells, run=measure)
    print(table(read_records(folder)))
    return 0


def measure(name: str, data: Path, work: Path) -> dict[str, Any]:
    """Evaluate the model that a defense made of the clean rows."""
    configured = tomllib.loads(SETTINGS.read_text(encoding="utf-8"))
    specs, _ = configured.pop("attacks"), configured.pop("needs")
    train, test = rows_of(data, configured)
    bench = Bench(data, Path(), work, configured, train, test)
    folder = work / f"clean.{name}-{bench.key(specs['clean'], None, parse_defense(name))}" / name
    if not folder.exists():
        raise AntivenomError(f"{folder} is not there", mend="Run attack_strength --only clean first.")
    attacks = [bench.attack(attack, specs[attack], None) for attack in ATTACKS]
    found, _ = evaluate(load_guarded(folder), test, attacks, seed=configured["seed"], quiet=False)
    # MTBA's triggers one by one are left to its mean.
    names = {str(attack): name for name, attack in zip(ATTACKS, attacks, strict=True)}
    evaluation = found.to_dict()
    evaluation["attacks"] = [{**a, "name": names[a["attack"]]} for a in evaluation["attacks"] if a["attack"] in names]
    command = public_command(["python -m benchmarks.never_poisoned", *sys.argv[1:]])
    return {"settings": configured, "evaluation": evaluation, "machine": machine(), "command": command}


def table(records: dict[str, dict[str, Any]]) -> str:
    """One line per attack, the models beside each other."""
    head = ["trigger of", *(f"`{name}`: {what}" for name in DEFENSES for what in ("ASR", "floor", "excess"))]
    lines = [row(head), "|" + "---|" * len(head)]
    for attack in ATTACKS:
        cells = [attack]
        for record in records.values():
            cells += _numbers(record, attack)
        lines.append(row(cells))
    return "\n".join(lines)


def _numbers(record: dict[str, Any], attack: str) -> list[str]:
    for reading in record["evaluation"]["attacks"]:
        if reading["name"] == attack:
            rates = [f"{100 * reading[key]['value']:.1f}" for key in ("asr_deployed", "floor")]
            return [*rates, f"{100 * reading['excess']:+.1f}"]
    return ["not run", "", ""]


def read_records(folder: Path = RECORDS) -> dict[str, dict[str, Any]]:
    """The records by the name of their defense."""
    return {name: _read(folder / f"{name}.json") for name in DEFENSES}


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


if __name__ == "__main__":
    raise SystemExit(main())
