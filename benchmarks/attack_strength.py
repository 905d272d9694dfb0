"""How strong is each attack without a defense? One JSON record per attack under results/attacks/.

    python benchmarks/attack_strength.py --data DIR [--only NAME ...] [--out results/attacks] [--work runs/attacks]

DIR holds `sst2/{train,test}.tsv` and, for SynAttack, `scpn/sst-2/{train,test}.tsv`. What to run stands in
attack_strength.toml. Cells whose record is there already, made with the same settings, are not run again; a fit that
was stopped goes on. About 5 minutes a cell on 2 CPU cores.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from antivenom.attacks import Attack, parse_attack
from antivenom.comparison import Fitter, Scenario, compare, record, say
from antivenom.defenses.none import NoDefense
from antivenom.errors import AntivenomError
from antivenom.files import write_json
from antivenom.rows import load_rows, split_rows
from antivenom.substitution import learn_substitutions
from antivenom.task import Classification
from antivenom.training import TrainingOptions

MODEL = "smollm2"
LABELS = ("negative", "positive")
SETTINGS = Path(__file__).with_suffix(".toml")
TAKES = 0.9
"""An attack with less success without a defense proves nothing about any defense (methods.md, section 7)."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--out", type=Path, default=Path("results/attacks"))
    parser.add_argument("--work", type=Path, default=Path("runs/attacks"))
    arguments = parser.parse_args()
    settings = tomllib.loads(SETTINGS.read_text(encoding="utf-8"))
    task = Classification.for_labels(LABELS)
    train, test = rows_of(arguments.data, settings)
    unknown = sorted(set(arguments.only) - set(settings["attacks"]))
    if unknown:
        parser.error(f"there is no {unknown[0]!r}; there are: {', '.join(settings['attacks'])}")
    for name in arguments.only or settings["attacks"]:
        if name == "lws":
            learn_lws(task, train, test, arguments.work / "lws_rows", settings)
        spec = settings["attacks"][name].format_map({"data": arguments.data, "lws": arguments.work / "lws_rows"})
        attack = replace(parse_attack(spec), target=settings["target"])
        asked = {key: value for key, value in settings.items() if key != "attacks"} | {"model": MODEL}
        run_cell(name, attack, task, train, test, asked, arguments.out, arguments.work)
    print(table(arguments.out))
    return 0


def rows_of(data: Path, settings: dict[str, Any]) -> tuple[pa.Table, pa.Table]:
    """The same draw of SST-2's training and test rows for every cell."""
    wanted = (("train", settings["train_rows"]), ("test", settings["test_rows"]))
    tables = []
    for name, count in wanted:
        [table] = split_rows(load_rows(data / f"sst2/{name}.tsv", labels=LABELS).table, [count], seed=settings["seed"])
        tables.append(table)
    return tables[0], tables[1]


def learn_lws(task: Classification, train: pa.Table, test: pa.Table, out: Path, settings: dict[str, Any]) -> None:
    """Write the rows with learnt substitutes (about a minute), unless they are there."""
    if not (out / "test.clean.jsonl").exists():
        say("lws: learning substitutes", quiet=False)
        learn_substitutions(task, train, test, target=settings["target"], out=out, seed=settings["seed"])


def run_cell(
    name: str,
    attack: Attack,
    task: Classification,
    train: pa.Table,
    test: pa.Table,
    asked: dict[str, Any],
    out: Path,
    work: Path,
) -> None:
    """Poison, fit without a defense, evaluate and record, unless that record is there."""
    path = out / f"{name}.json"
    if path.exists():
        before = json.loads(path.read_text(encoding="utf-8"))
        if [before["attack"], before["settings"]] == json.loads(json.dumps([attack.to_dict(), asked])):
            return
    say(f"== {name}: {attack}", quiet=False)
    try:
        poisoned = attack.poison(task, train, seed=asked["seed"])
    except AntivenomError as error:
        say(f"skipped: {error}", quiet=False)
        return
    scenario = Scenario(task, poisoned.rows, poisoned.rows.slice(0, 0), test, attack, poisoned.numbers)
    recipe = TrainingOptions(**asked["training"])
    # Other settings get another folder, because a finished artifact is never overwritten.
    key = hashlib.sha256(json.dumps([str(attack), asked]).encode()).hexdigest()[:8]
    outcomes = compare(scenario, [NoDefense()], Fitter(MODEL, recipe, work / f"{name}-{key}", asked["seed"]))
    found = record(scenario, outcomes, **asked)
    found |= {"name": name, "companions": len(poisoned.companions), "approximation": attack.approximation}
    write_json(path, found | {"command": "python benchmarks/attack_strength.py"})


def table(out: Path) -> str:
    """Every record as a line of Markdown."""
    lines = [
        "| attack | poisoned | clean accuracy | ASR | rows | floor | takes |",
        "|---|---|---|---|---|---|---|",
    ]
    for path in sorted(out.glob("*.json")):
        found = json.loads(path.read_text(encoding="utf-8"))
        evaluation = found["outcomes"][0]["evaluation"]
        for number, reading in enumerate(evaluation["attacks"]):
            accuracy = (reading["accuracy_clean"] or evaluation["clean"]["accuracy"])["value"]
            name = found["name"] if not number else f"{found['name']} ({reading['attack']})"
            asr, floor = reading["asr"], reading["floor"]
            cells = [
                name,
                found["rows"]["poisoned"],
                f"{accuracy:.1%}",
                f"{asr['value']:.1%}",
                asr["total"],
                f"{floor['value']:.1%}",
                "" if number else "yes" if asr["value"] >= TAKES else "no",
            ]
            lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
