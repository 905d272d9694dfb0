"""Write the tables and pictures of README.md and docs/science.md from the records under results/.

    python -m benchmarks.report            # fill every `<!-- table: NAME -->` ... `<!-- end of table -->`
    python -m benchmarks.report --check    # exit with 1 if a table is not what the records say

No number in those tables is typed by hand. Which records belong to a table stands in report.toml.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from benchmarks import charts, dose
from benchmarks.attack_table import TAKES, Record, row

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "docs/science.md")
SETTINGS = Path(__file__).with_suffix(".toml")
MARKED = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end of table -->)", re.DOTALL)
UNDEFENDED_HEAD = ("accuracy", "ASR", "floor")
OUTCOME_HEAD = (*UNDEFENDED_HEAD, "excess", "poison taught")


def main(argv: list[str] | None = None) -> int:
    """Fill the tables, or check them."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.report", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 if a table is out of date")
    asked = parser.parse_args(argv)
    stale = []
    for name in PAGES:
        page = ROOT / name
        before = page.read_text(encoding="utf-8")
        after = MARKED.sub(lambda found: found[1] + TABLES[found[2]]() + "\n" + found[3], before)
        if after != before:
            stale.append(name)
            if not asked.check:
                page.write_text(after, encoding="utf-8")
    for name, draw in PICTURES.items():
        path = ROOT / name
        drawn = draw()
        if not path.exists() or path.read_text(encoding="utf-8") != drawn:
            stale.append(name)
            if not asked.check:
                path.write_text(drawn, encoding="utf-8")
    print(
        f"{'out of date' if asked.check else 'written'}: {', '.join(stale)}" if stale else "every table is up to date"
    )
    return 1 if stale and asked.check else 0


def demo() -> str:
    """What `make demo` prints."""
    head = ("clean accuracy", "ASR", "ASR extended", "ASR deployed", "floor", "excess")
    lines = [row(["", *head]), "|" + "---|" * (len(head) + 1)]
    for outcome in _read(ROOT / _settings()["demo"]["record"])["outcomes"]:
        reading = outcome["evaluation"]["attacks"][0]
        rates = [outcome["evaluation"]["clean"]["accuracy"], *(reading[k] for k in ("asr", "asr_extended"))]
        rates += [reading["asr_deployed"], reading["floor"]]
        cells = ["-" if rate is None else _rate(rate) for rate in rates]
        lines.append(row([_defense(outcome), *cells, f"{100 * reading['excess']:+.1f}"]))
    return "\n".join(lines)


def attacks() -> str:
    """One line per attack: undefended, and with `standard`, on as many rows as the benchmark takes today."""
    configured, usual = _settings()["attacks"], _usual()
    lines = [_pair(title, [r for r in usual if r["name"] == name]) for name, title in configured.items()]
    summary = _summary([pair for name in configured if (pair := _outcomes([r for r in usual if r["name"] == name]))])
    return "\n".join([*_head("attack"), *filter(None, lines), "", summary])


def tasks() -> str:
    """Other tasks, every defense of each record one line."""
    lines = [row(["rows, attack", "defense", *OUTCOME_HEAD]), "|" + "---|" * (len(OUTCOME_HEAD) + 2)]
    for title, path in _settings()["tasks"].items():
        for outcome in _read(ROOT / path)["outcomes"]:
            lines.append(row([title, _defense(outcome), *_cells(outcome)]))
    return "\n".join(lines)


def ablation() -> str:
    """Reserve policy, mode, cue and decoys, one line per defense."""
    records = [r for r in _small() if r["settings"]["seed"] == 0]
    lines = [row(["attack", "defense", *OUTCOME_HEAD]), "|" + "---|" * (len(OUTCOME_HEAD) + 2)]
    order = list(_settings()["attacks"])
    for record in sorted(records, key=lambda r: (order.index(r["name"]), _defense(r["outcomes"][0]))):
        [outcome] = record["outcomes"]
        lines.append(row([_settings()["attacks"][record["name"]], _defense(outcome), *_cells(outcome)]))
    return "\n".join(lines)


def seeds() -> str:
    """Mean and standard deviation over seeds of what was run with several."""
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in _small():
        key = _settings()["attacks"][record["name"]], _defense(record["outcomes"][0])
        groups.setdefault(key, []).append(record["outcomes"][0])
    head = ("accuracy", "ASR", "floor", "excess")
    lines = [row(["attack", "defense", "seeds", *head]), "|" + "---|" * (len(head) + 3)]
    for (attack, defense), outcomes in sorted(groups.items()):
        if len(outcomes) > 1:
            readings = [outcome["evaluation"]["attacks"][0] for outcome in outcomes]
            columns = [[_clean(outcome)["value"] for outcome in outcomes]]
            columns += [[reading[name]["value"] for reading in readings] for name in ("asr_deployed", "floor")]
            columns.append([reading["excess"] for reading in readings])
            spreads = [f"{100 * fmean(values):.1f} ± {100 * stdev(values):.1f}" for values in columns]
            lines.append(row([attack, defense, len(outcomes), *spreads]))
    return "\n".join(lines)


def doses() -> str:
    """How much poison in the reserve is too much."""
    return dose.table(dose.read_records(ROOT / dose.RECORDS))


def attacks_picture() -> str:
    """The same as bars."""
    rows = []
    for name, title in _settings()["attacks"].items():
        found = _by_defense([r for r in _usual() if r["name"] == name])
        before, after = (found[d]["evaluation"]["attacks"][0] if d in found else None for d in ("none", "standard"))
        if before or after:
            success = [None if one is None else one["asr_deployed"]["value"] for one in (before, after)]
            rows.append(charts.Bar(title, *success, after["floor"]["value"] if after else None))
    return charts.bars(rows)


def doses_picture() -> str:
    """Attack success over the poisoned rows in a reserve of 400, nothing else being trained on."""
    points = []
    for record in dose.read_records(ROOT / dose.RECORDS):
        reserve = record["settings"]["reserve"]
        if (reserve["size"], reserve["others"]) == (400, "drop"):
            reading = record["outcomes"][0]["evaluation"]["attacks"][0]
            success = reading["asr_deployed"]
            rates = (success["value"], success["low"], success["high"], reading["floor"]["value"])
            points.append(charts.Point(reserve["poisoned"], *rates))
    return charts.curve(points, below="poisoned rows in a reserve of 400")


TABLES: dict[str, Callable[[], str]] = {
    "demo": demo,
    "attacks": attacks,
    "tasks": tasks,
    "ablation": ablation,
    "seeds": seeds,
    "doses": doses,
}

PICTURES: dict[str, Callable[[], str]] = {"docs/attacks.svg": attacks_picture, "docs/doses.svg": doses_picture}


def _usual() -> list[Record]:
    """The records of the attacks on as many rows as the benchmark takes today, with its first seed."""
    records = [_read(path) for path in sorted((ROOT / "results/attacks").glob("*.json"))]
    rows = tomllib.loads((ROOT / "benchmarks/attack_strength.toml").read_text(encoding="utf-8"))["train_rows"]
    return [r for r in records if r["settings"]["seed"] == 0 and r["settings"]["train_rows"] == rows]


def _small() -> list[Record]:
    """The records of the ablation, every seed."""
    return [_read(path) for path in sorted((ROOT / "results/ablation").glob("*.json"))]


def _settings() -> dict[str, dict[str, str]]:
    return tomllib.loads(SETTINGS.read_text(encoding="utf-8"))


def _read(path: Path) -> Record:
    record: Record = json.loads(path.read_text(encoding="utf-8"))
    return record


def _head(first: str) -> list[str]:
    names = [
        f"undefended: {UNDEFENDED_HEAD[0]}",
        *UNDEFENDED_HEAD[1:],
        f"`standard`: {OUTCOME_HEAD[0]}",
        *OUTCOME_HEAD[1:],
        "version",
    ]
    return [row([first, *names]), "|" + "---|" * (len(names) + 1)]


def _outcomes(records: Sequence[Record]) -> dict[str, Any]:
    """The outcomes by the name of their defense, if both were run."""
    found = _by_defense(records)
    return found if {"none", "standard"} <= found.keys() else {}


def _by_defense(records: Sequence[Record]) -> dict[str, Record]:
    """The outcomes by the name of their defense, of `standard` the newest version alone.

    Raises:
        ValueError: two records say different things about one line.
    """
    outcomes = [outcome for record in records for outcome in record["outcomes"]]
    newest = max((recipe_of(o) for o in outcomes if o["defense"]["name"] == "standard"), default=0)
    outcomes = [o for o in outcomes if o["defense"]["name"] != "standard" or recipe_of(o) == newest]
    names = [outcome["defense"]["name"] for outcome in outcomes]
    if len(set(names)) < len(names):
        raise ValueError(f"several records for one line: {', '.join(sorted({r['command'] for r in records}))}")
    return dict(zip(names, outcomes, strict=True))


def _pair(title: str, records: Sequence[Record]) -> str:
    """One line of an attack; empty if it was never run."""
    found = _by_defense(records)
    if not found:
        return ""
    before, after = (_cells(found[name]) if name in found else [] for name in ("none", "standard"))
    before = before[: len(UNDEFENDED_HEAD)] or ["not run", "", ""]
    after = [*after, str(recipe_of(found["standard"]))] if after else ["not run", *[""] * len(OUTCOME_HEAD)]
    return row([title, *before, *after])


def _cells(outcome: Record) -> list[str]:
    """What one fit gave, in percent, with Wilson's intervals."""
    reading = outcome["evaluation"]["attacks"][0]
    # Undefended, the space that is read is the only one, and every poisoned row is taught in it.
    kept = "all" if outcome["defense"]["name"] == "none" else str(outcome["leaked"])
    return [
        _rate(_clean(outcome)),
        _rate(reading["asr_deployed"]),
        f"{100 * reading['floor']['value']:.1f}",
        f"{100 * reading['excess']:+.1f}",
        kept,
    ]


def _clean(outcome: Record) -> Record:
    """Clean accuracy, in the attack's own form of clean rows where it has one."""
    evaluation = outcome["evaluation"]
    found: Record = evaluation["attacks"][0]["accuracy_clean"] or evaluation["clean"]["accuracy"]
    return found


def _rate(rate: Record) -> str:
    return f"{100 * rate['value']:.1f} [{100 * rate['low']:.0f}, {100 * rate['high']:.0f}]"


def _defense(outcome: Record) -> str:
    """The defense by name and what is not its default."""
    from antivenom.defenses import defenses

    options = dict(outcome["defense"])
    name = options.pop("name")
    version = f" {recipe_of(outcome)}" if name == "standard" else ""
    return f"`{defenses()[name].from_dict(options)}`{version}"


def recipe_of(outcome: Record) -> int:
    """The version of `standard` behind an outcome; records of the first version do not say it."""
    return int(outcome.get("reserve", {}).get("recipe", "standard-1").rpartition("-")[2])


def _summary(pairs: Sequence[dict[str, Any]]) -> str:
    """Over the attacks that take and were run with both."""

    def first(outcome: Record) -> Record:
        reading: Record = outcome["evaluation"]["attacks"][0]
        return reading

    taken = [pair for pair in pairs if first(pair["none"])["asr"]["value"] >= TAKES]
    if not taken:
        return ""
    excess = [100 * first(pair["standard"])["excess"] for pair in taken]
    change = [100 * (_clean(pair["standard"])["value"] - _clean(pair["none"])["value"]) for pair in taken]
    return (
        f"Of these, {len(taken)} take undefended (ASR at least {TAKES:.0%}). With `standard` their excess is "
        f"{fmean(excess):+.1f} points on average and {max(excess):+.1f} at most; clean accuracy changes by "
        f"{fmean(change):+.1f} points on average, {min(change):+.1f} at worst."
    )


if __name__ == "__main__":
    sys.exit(main())
