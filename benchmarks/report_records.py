"""Which records under results/ belong to a line of a table, and what they say of it."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from benchmarks import ablation
from benchmarks.attack_table import Record

ROOT = Path(__file__).parents[1]
SETTINGS = Path(__file__).with_name("report.toml")


def settings() -> dict[str, dict[str, str]]:
    """What report.toml says."""
    return tomllib.loads(SETTINGS.read_text(encoding="utf-8"))


def read(path: Path) -> Record:
    """One record."""
    record: Record = json.loads(path.read_text(encoding="utf-8"))
    return record


def attacks_run() -> dict[str, list[Record]]:
    """The records of every attack that was run, by what the table calls it."""
    configured = settings()["attacks"].items()
    return {title: found for name, title in configured if (found := _records_of(name))}


def _records_of(name: str) -> list[Record]:
    """The records of one attack with the first seed, on the most rows on which both defenses were run, or one was."""
    by_rows: dict[int, list[Record]] = {}
    for path in sorted((ROOT / "results/attacks").glob(f"{name}.*.json")):
        record = read(path)
        if record["settings"]["seed"] == 0 and record["outcomes"][0]["defense"]["name"] in ("none", "standard"):
            by_rows.setdefault(record["settings"]["train_rows"], []).append(record)
    return max(by_rows.items(), key=lambda rows: (len(by_defense(rows[1])), rows[0]), default=(0, []))[1]


def large(pattern: str, folder: str = "results/attacks") -> list[Record]:
    """The records on all the rows that attack_strength.toml asks for."""
    rows = tomllib.loads(ablation.SETTINGS.read_text(encoding="utf-8"))["train_rows"]
    found = [read(path) for path in sorted((ROOT / folder).glob(pattern))]
    return [record for record in found if record["settings"]["train_rows"] == rows]


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


def defense_of(outcome: Record) -> str:
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
