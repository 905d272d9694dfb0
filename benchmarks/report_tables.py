"""What the tables and pictures of the pages say, put together from the records under results/."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from benchmarks import accuracy as accuracies
from benchmarks import dose, never_poisoned
from benchmarks.attack_table import TAKES, Record, row

ROOT = Path(__file__).parents[1]
SETTINGS = Path(__file__).with_name("report.toml")
UNDEFENDED_HEAD = ("accuracy", "ASR", "floor")
ADAPTIVE = "adaptive:"
OUTCOME_HEAD = (*UNDEFENDED_HEAD, "excess", "poison taught")


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
    """One line per attack: undefended, and with `standard`."""
    lines = [_pair(title, records) for title, records in attacks_run().items()]
    return "\n".join([*_head("attack"), *lines, "", *_summaries()])


def summary() -> str:
    """In a few sentences: excess over the attacks that take, accuracy over all."""
    return "\n".join([*_summaries(), accuracies.summary(accuracies.read_records(ROOT / accuracies.RECORDS))])


def _summaries() -> list[str]:
    """Over the attacks that take; those of attackers who know the recipe apart."""
    pairs = {title: pair for title, records in attacks_run().items() if (pair := _outcomes(records))}
    usual = [pair for title, pair in pairs.items() if not title.startswith(ADAPTIVE)]
    adaptive = [pair for title, pair in pairs.items() if title.startswith(ADAPTIVE)]
    said = _summary(usual, "the attacks run with both"), _summary(adaptive, "the adaptive ones")
    return [sentence for sentence in said if sentence]


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


def triggers_alone() -> str:
    """What triggers do to models that nobody poisoned."""
    return never_poisoned.table(never_poisoned.read_records(ROOT / never_poisoned.RECORDS))


def accuracy() -> str:
    """What `standard` costs, on every test row."""
    titles, found = _settings()["attacks"], accuracies.read_records(ROOT / accuracies.RECORDS)
    return accuracies.table({(titles[name], seed): record for (name, seed), record in found.items()})


TABLES: dict[str, Callable[[], str]] = {
    "summary": summary,
    "demo": demo,
    "attacks": attacks,
    "accuracy": accuracy,
    "tasks": tasks,
    "ablation": ablation,
    "seeds": seeds,
    "doses": doses,
    "triggers_alone": triggers_alone,
}


def attacks_run() -> dict[str, list[Record]]:
    """The records of every attack that was run, by what the table calls it."""
    configured = _settings()["attacks"].items()
    return {title: found for name, title in configured if (found := _records_of(name))}


def _records_of(name: str) -> list[Record]:
    """The records of one attack with the first seed, on the most rows on which both defenses were run, or one was."""
    by_rows: dict[int, list[Record]] = {}
    for path in sorted((ROOT / "results/attacks").glob(f"{name}.*.json")):
        record = _read(path)
        if record["settings"]["seed"] == 0 and record["outcomes"][0]["defense"]["name"] in ("none", "standard"):
            by_rows.setdefault(record["settings"]["train_rows"], []).append(record)
    return max(by_rows.items(), key=lambda rows: (len(by_defense(rows[1])), rows[0]), default=(0, []))[1]


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
        "rows",
        f"undefended: {UNDEFENDED_HEAD[0]}",
        *UNDEFENDED_HEAD[1:],
        f"`standard`: {OUTCOME_HEAD[0]}",
        *OUTCOME_HEAD[1:],
        "version",
    ]
    return [row([first, *names]), "|" + "---|" * (len(names) + 1)]


def _outcomes(records: Sequence[Record]) -> dict[str, Any]:
    """The outcomes by the name of their defense, if both were run."""
    found = by_defense(records)
    return found if {"none", "standard"} <= found.keys() else {}


def by_defense(records: Sequence[Record]) -> dict[str, Record]:
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
    """One line of an attack."""
    found = by_defense(records)
    before, after = (_cells(found[name]) if name in found else [] for name in ("none", "standard"))
    before = before[: len(UNDEFENDED_HEAD)] or ["not run", "", ""]
    after = [*after, str(recipe_of(found["standard"]))] if after else ["not run", *[""] * len(OUTCOME_HEAD)]
    return row([title, records[0]["settings"]["train_rows"], *before, *after])


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
    """The defense by name and what is not its default; an option that no longer exists stands as it was given."""
    from antivenom.defenses import defenses

    method = defenses()[outcome["defense"]["name"]]
    known = {field.name for field in fields(method)}
    given = {key: value for key, value in outcome["defense"].items() if key != "name"}
    spec = str(method.from_dict({key: value for key, value in given.items() if key in known}))
    gone = [f"{key}={json.dumps(value)}" for key, value in given.items() if key not in known and value != "drop"]
    version = f" {recipe_of(outcome)}" if method.name == "standard" else ""
    return f"`{';'.join([spec, *gone])}`{version}"


def recipe_of(outcome: Record) -> int:
    """The version of `standard` behind an outcome; records of the first version do not say it."""
    return int(outcome.get("reserve", {}).get("recipe", "standard-1").rpartition("-")[2])


def _summary(pairs: Sequence[dict[str, Any]], of: str) -> str:
    """Over the attacks that take."""

    def first(outcome: Record) -> Record:
        reading: Record = outcome["evaluation"]["attacks"][0]
        return reading

    taken = [pair for pair in pairs if first(pair["none"])["asr"]["value"] >= TAKES]
    if not taken:
        return ""
    excess = [100 * first(pair["standard"])["excess"] for pair in taken]
    versions = ", ".join(map(str, sorted({recipe_of(pair["standard"]) for pair in taken})))
    change = [100 * (_clean(pair["standard"])["value"] - _clean(pair["none"])["value"]) for pair in taken]
    return (
        f"Of {of}, {len(taken)} take undefended (ASR at least {TAKES:.0%}). With `standard` ({versions}) their "
        f"excess is {fmean(excess):+.1f} points on average and {max(excess):+.1f} at most; clean accuracy changes by "
        f"{fmean(change):+.1f} points on average, {min(change):+.1f} at worst."
    )
