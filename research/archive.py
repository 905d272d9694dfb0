"""Archived records: which belong to a line of a table, and what they say of it."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
ARCHIVE = ROOT / "results/archive"
OUTCOME_HEAD = ("accuracy", "ASR", "floor", "excess", "poison taught")
Record = dict[str, Any]


@cache
def settings() -> dict[str, dict[str, Any]]:
    """What pages.toml says."""
    return tomllib.loads(Path(__file__).with_name("pages.toml").read_text(encoding="utf-8"))


def read(path: str) -> Record:
    """An archived record."""
    record: Record = json.loads((ARCHIVE / path).read_text(encoding="utf-8"))
    return record


def outcome(path: str, defense: str = "") -> Record:
    """The one outcome of a record, or that of a defense."""
    found = [one for one in read(path)["outcomes"] if defense in ("", one["defense"]["name"])]
    assert len(found) == 1, f"{path}: {len(found)} outcomes of {defense!r}"
    return found[0]


def pairs() -> dict[str, dict[str, Record]]:
    """Of each attack: undefended and with `standard`, as far as both were run."""
    lines = settings()["attacks"].items()
    return {title: pair_of(paths) for title, paths in lines}


def recipe_of(one: Record) -> int:
    """The version of `standard`; 0 of another defense. Records of the first version do not say it."""
    if one["defense"]["name"] != "standard":
        return 0
    return int(one.get("reserve", {}).get("recipe", "standard-1").rpartition("-")[2])


def first(one: Record) -> Record:
    """The readings of an outcome's attack."""
    reading: Record = one["evaluation"]["attacks"][0]
    return reading


def change(record: Record) -> float:
    """Points of accuracy that `standard` adds on all test rows."""
    return 100 * float(right(record, "standard").mean() - right(record, "none").mean())


def right(record: Record, defense: str) -> Any:
    """Which rows a model answered rightly."""
    import numpy as np

    found = np.ones(record["rows"], dtype=bool)
    found[record["wrong"][defense]] = False
    return found


def outcome_cells(one: Record) -> list[str]:
    """What one fit gave, in percent, with Wilson's intervals: the cells under `OUTCOME_HEAD`."""
    # Undefended, the space that is read is the only one, and every poisoned row is taught in it.
    taught = "all" if one["defense"]["name"] == "none" else str(one["leaked"])
    if corrected := one.get("corrected"):
        taught += f" (and {corrected} corrected)"
    rates = [percent(accuracy_of(one)), percent(first(one)["asr_deployed"])]
    return [*rates, f"{100 * first(one)['floor']['value']:.1f}", f"{100 * first(one)['excess']:+.1f}", taught]


def accuracy_of(one: Record) -> Record:
    """Clean accuracy, in the attack's own form of clean rows where it has one."""
    found: Record = first(one)["accuracy_clean"] or one["evaluation"]["clean"]["accuracy"]
    return found


def label(path: str, number: int, one: Record) -> str:
    """The defense of an outcome."""
    version = f" {recipe_of(one)}" if recipe_of(one) else ""
    named: str = settings()["labels"].get(f"{path}#{number}", f"`{one['defense']['name']}`{version}")
    return named


def percent(rate: Record) -> str:
    """A rate in percent with Wilson's 95 % interval."""
    return f"{100 * rate['value']:.1f} [{100 * rate['low']:.0f}, {100 * rate['high']:.0f}]"


def short(rate: Record | None) -> str:
    """In percent, without the interval."""
    return "-" if rate is None or rate["value"] is None else f"{100 * rate['value']:.1f}"


def row(cells: Sequence[object]) -> str:
    """One line of a Markdown table."""
    return f"| {' | '.join(str(cell).replace('|', '&#124;') for cell in cells)} |"


def pair_of(paths: Sequence[str]) -> dict[str, Record]:
    """The outcomes of two records by the names of their defenses; an empty path was not run."""
    return {name: outcome(path, name) for name, path in zip(("none", "standard"), paths, strict=True) if path}
