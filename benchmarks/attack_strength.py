"""Does each attack take without a defense, and what do defenses make of it? One record per fit.

    python -m benchmarks.attack_strength --data DIR                         # every attack, undefended
    python -m benchmarks.attack_strength --data DIR --only addsent --defense none --defense "p2p:reserve=screened"
    python -m benchmarks.attack_strength --data DIR --train-rows 1200 --epochs 2 --minutes 60
    python -m benchmarks.attack_strength --table                            # what the records say; runs nothing

DIR holds `sst2/{train,test}.tsv` and, for SynAttack, `scpn/sst-2/{train,test}.tsv`. What to run stands in
attack_strength.toml; an option on the command line wins and is kept in the record. A fit whose record is there is not
run again, and one that was stopped goes on from its checkpoint. About 4 minutes a fit on 2 CPU cores as it stands.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
import tomllib
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from antivenom.attacks import Attack, parse_attack
from antivenom.attacks.substitution.learn import learn_substitutions
from antivenom.core.errors import AntivenomError
from antivenom.core.files import write_json
from antivenom.data.digests import digest_of_table
from antivenom.data.rows import load_rows, split_rows
from antivenom.defenses import Defense, parse_defense
from antivenom.defenses.standard.recipe import VERSION, Standard
from antivenom.evaluation.comparison import Scenario, compare, make_scenario, public_command, record, say
from antivenom.tasks.task import Classification
from antivenom.training.lab import LocalLab
from antivenom.training.training_options import TrainingOptions
from benchmarks.attack_table import read_records, table
from benchmarks.harness import machine

LABELS = ("negative", "positive")
TASK = Classification.for_labels(LABELS)
SETTINGS = Path(__file__).with_suffix(".toml")


def main(argv: list[str] | None = None) -> int:
    """Run the fits that have no record yet, and print the table."""
    configured = tomllib.loads(SETTINGS.read_text(encoding="utf-8"))
    specs: dict[str, str] = configured.pop("attacks")
    needs: dict[str, str] = configured.pop("needs")
    asked = arguments(argv, specs)
    if not asked.table:
        warnings.simplefilter("ignore")
        settings = settle(configured, asked)
        train, test = rows_of(asked.data, settings)
        bench = Bench(asked.data, asked.out, asked.work, settings, train, test)
        deadline = time.monotonic() + 60 * asked.minutes
        run(bench, {name: specs[name] for name in asked.only or specs}, asked, deadline)
    print(table(read_records(asked.out), list(specs), needs))
    return 0


def arguments(argv: list[str] | None, specs: dict[str, str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.attack_strength",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--data", type=Path, help="folder of the data sets")
    parser.add_argument("--only", nargs="+", default=[], choices=list(specs), metavar="NAME", help="these attacks")
    parser.add_argument("--defense", action="append", default=[], help="a defense; repeat for several (none)")
    parser.add_argument("--rate", type=float, help="poison rate, instead of the attack's own")
    parser.add_argument("--train-rows", type=int)
    parser.add_argument("--test-rows", type=int)
    parser.add_argument("--trusted-share", type=float, help="share of each class that no attacker touched")
    parser.add_argument("--epochs", type=float)
    parser.add_argument("--top-layers", type=int, help="0 stands for all layers")
    parser.add_argument("--learning-rate", type=float)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--model", help="smollm2 or a folder")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="no new fit starts after these")
    parser.add_argument("--out", type=Path, default=Path("results/attacks"), help="folder of the records")
    parser.add_argument("--work", type=Path, default=Path("runs/attacks"), help="folder of the fits")
    parser.add_argument("--table", action="store_true", help="print the records, run nothing")
    asked = parser.parse_args(argv)
    if asked.data is None and not asked.table:
        parser.error("--data is needed, except with --table")
    return asked


def settle(configured: dict[str, Any], asked: argparse.Namespace) -> dict[str, Any]:
    """The settings of the file, with what the command line says instead."""
    given = {key: value for key, value in vars(asked).items() if value is not None}
    settings = {key: given.get(key, value) for key, value in configured.items()}
    training = {key: given.get(key, value) for key, value in configured["training"].items()}
    training["top_layers"] = training["top_layers"] or None
    return {**settings, "training": training}


def rows_of(data: Path, settings: dict[str, Any]) -> tuple[pa.Table, pa.Table]:
    """The same draw of SST-2's training and test rows for every fit."""
    tables = []
    for name in ("train", "test"):
        rows = load_rows(data / f"sst2/{name}.tsv", labels=LABELS).table
        [drawn] = split_rows(rows, [settings[f"{name}_rows"]], seed=settings["seed"])
        tables.append(drawn)
    return tables[0], tables[1]


@dataclass(frozen=True)
class Bench:
    """What all fits share."""

    data: Path
    out: Path
    work: Path
    settings: dict[str, Any]
    train: pa.Table
    test: pa.Table

    def key(self, spec: str, rate: float | None, defense: Defense) -> str:
        """Tells apart all that decides a fit's numbers, and no path of this machine."""
        rows = [digest_of_table(self.train), digest_of_table(self.test)]
        version = {"version": VERSION} if isinstance(defense, Standard) else {}
        what = [spec, rate, defense.public_dict() | version, self.settings, rows]
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:8]

    def attack(self, name: str, spec: str, rate: float | None) -> Attack:
        """The attack, its files made where they can be."""
        learnt = self.work / f"lws-{self.settings['train_rows']}-{self.settings['test_rows']}-{self.settings['seed']}"
        if name == "lws" and not (learnt / "test.clean.jsonl").exists():
            say("lws: learning substitutes, about a minute", quiet=False)
            target, seed = self.settings["target"], self.settings["seed"]
            learn_substitutions(TASK, self.train, self.test, target=target, out=learnt, seed=seed)
        attack = replace(parse_attack(spec.format(data=self.data, lws=learnt)), target=self.settings["target"])
        return attack if rate is None else replace(attack, rate=rate)

    def scenario(self, attack: Attack) -> Scenario:
        """Poison the rows; some stay trusted if the settings say so."""
        share, seed = self.settings["trusted_share"], self.settings["seed"]
        if share:
            return make_scenario(TASK, self.train, self.test, attack, trusted_share=share, seed=seed)
        poisoned = attack.poison(TASK, self.train, seed=seed)
        before = attack.clean(TASK, self.train)
        return Scenario(TASK, poisoned.rows, before.slice(0, 0), self.test, attack, poisoned.numbers, before)

    def fit(self, scenario: Scenario, defense: Defense, folder: Path) -> dict[str, Any]:
        """Fit, evaluate, and return the record."""
        options = TrainingOptions(**self.settings["training"])
        lab = LocalLab(self.settings["model"], options, folder, self.settings["seed"])
        return record(scenario, compare(scenario, [defense], lab), **self.settings)


def run(bench: Bench, specs: dict[str, str], asked: argparse.Namespace, deadline: float) -> None:
    """Run what has no record yet; defense by defense within an attack, so that the time buys whole rows."""
    defenses = [parse_defense(spec) for spec in asked.defense or ["none"]]
    left = []
    for name, spec in specs.items():
        for defense in defenses:
            cell = f"{name}.{defense.name}-{bench.key(spec, asked.rate, defense)}"
            if (bench.out / f"{cell}.json").exists():
                continue
            if time.monotonic() > deadline:
                left.append(cell)
                continue
            say(f"== {name} against {defense}", quiet=False)
            try:
                attack = bench.attack(name, spec, asked.rate)
                found = bench.fit(bench.scenario(attack), defense, bench.work / cell)
            except AntivenomError as error:
                say(f"skipped: {error}", quiet=False)
                continue
            more = {"name": name, "approximation": attack.approximation, "machine": machine()}
            more["command"] = public_command(["python -m benchmarks.attack_strength", *sys.argv[1:]])
            write_json(bench.out / f"{cell}.json", found | more)
    if left:
        say(f"out of time; {len(left)} not run: {', '.join(left)}. The same command goes on.", quiet=False)


if __name__ == "__main__":
    raise SystemExit(main())
