"""What the tables and pictures of the pages say, put together from the records under results/."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean, stdev
from typing import Any

from benchmarks import ablation as parts
from benchmarks import accuracy as accuracies
from benchmarks import dose, held_out, never_poisoned
from benchmarks import perfect_filter as filters
from benchmarks.attack_table import OUTCOME_HEAD, TAKES, Record, clean_accuracy, outcome_cells, percent, row
from benchmarks.report_records import (
    ROOT,
    attacks_run,
    by_defense,
    defense_of,
    large,
    read,
    recipe_of,
    settings,
)

UNDEFENDED_HEAD = OUTCOME_HEAD[:3]
ADAPTIVE = "adaptive:"


def demo() -> str:
    """What `make demo` prints."""
    head = ("clean accuracy", "ASR", "ASR extended", "ASR deployed", "floor", "excess")
    lines = [row(["", *head]), "|" + "---|" * (len(head) + 1)]
    for outcome in read(ROOT / settings()["demo"]["record"])["outcomes"]:
        reading = outcome["evaluation"]["attacks"][0]
        rates = [outcome["evaluation"]["clean"]["accuracy"], *(reading[k] for k in ("asr", "asr_extended"))]
        rates += [reading["asr_deployed"], reading["floor"]]
        cells = ["-" if rate is None else percent(rate) for rate in rates]
        lines.append(row([defense_of(outcome), *cells, f"{100 * reading['excess']:+.1f}"]))
    return "\n".join(lines)


def headline() -> str:
    """A few attacks, as few numbers as say something, without intervals."""
    defended = "with `standard`"
    head = ("attack success undefended", defended, "floor", "accuracy undefended", defended, "version")
    lines = [row(["", *head]), "|" + "---|" * (len(head) + 1)]
    for title, source in settings()["headline"].items():
        attack = settings()["attacks"].get(source)
        found = by_defense(attacks_run()[attack] if attack else [read(ROOT / source)])
        none, standard = found["none"], found["standard"]
        before, after = (outcome["evaluation"]["attacks"][0] for outcome in (none, standard))
        cells = [_short(before["asr_deployed"]), _short(after["asr_deployed"]), _short(after["floor"])]
        cells += [_short(clean_accuracy(outcome)) for outcome in (none, standard)]
        lines.append(row([title, *cells, recipe_of(standard)]))
    return "\n".join(lines)


def attacks() -> str:
    """One line per attack: undefended, and with `standard`."""
    lines = [_pair(title, records) for title, records in attacks_run().items()]
    return "\n".join([*_head("attack"), *lines, "", *_summaries()])


def summary() -> str:
    """In a few sentences: excess over the attacks that take, accuracy over all."""
    said = _summaries()[0], accuracies.summary(accuracies.read_records(ROOT / accuracies.RECORDS))
    return "\n".join(said)


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
    for title, path in settings()["tasks"].items():
        for outcome in read(ROOT / path)["outcomes"]:
            lines.append(row([title, defense_of(outcome), *outcome_cells(outcome)]))
    return "\n".join(lines)


def five_readings() -> str:
    """Undefended, P2P as published and the recipe under every reading, and what the readings are made of."""
    head = ("ASR", "ASR extended", "ASR deployed", "floor", "excess", "alpha", "epsilon", "beta")
    lines = [row(["attack", "defense", "accuracy", *head]), "|" + "---|" * (len(head) + 3)]
    for record in parts.read_records(ROOT / parts.RECORDS):
        [outcome] = record["outcomes"]
        if record["changed"] in (*parts.BESIDE, parts.NOTHING):
            reading = outcome["evaluation"]["attacks"][0]
            cells = [_short(reading[key]) for key in ("asr", "asr_extended", "asr_deployed", "floor")]
            cells += [f"{100 * reading['excess']:+.1f}", *(_short(reading[k]) for k in ("alpha", "epsilon", "beta"))]
            defense = f"`standard` {record['version']}" if "version" in record else record["changed"]
            lines.append(row([settings()["attacks"][record["name"]], defense, _short(clean_accuracy(outcome)), *cells]))
    return "\n".join(lines)


def seeds() -> str:
    """Mean and standard deviation over seeds of what was run with several by both; of `standard` the newest version."""
    groups: dict[tuple[str, str], dict[int, Record]] = {}
    runs = [*large("*.json"), *large("*.json", "results/seeds")]
    several = {r["name"]: recipe_of(r["outcomes"][0]) for r in sorted(runs, key=_version) if r["settings"]["seed"]}
    for record in runs:
        [outcome] = record["outcomes"]
        if outcome["defense"]["name"] == "standard" and recipe_of(outcome) != several.get(record["name"]):
            continue
        key = settings()["attacks"][record["name"]], defense_of(outcome)
        groups.setdefault(key, {})[record["settings"]["seed"]] = outcome
    head = ("accuracy", "ASR", "floor", "excess")
    lines = [row(["attack", "defense", "seeds", *head]), "|" + "---|" * (len(head) + 3)]
    both = {attack for (attack, defense), found in groups.items() if "standard" in defense and len(found) > 1}
    for (attack, defense), outcomes in sorted(groups.items()):
        if attack in both:
            readings = [outcome["evaluation"]["attacks"][0] for outcome in outcomes.values()]
            columns = [[clean_accuracy(outcome)["value"] for outcome in outcomes.values()]]
            columns += [[reading[name]["value"] for reading in readings] for name in ("asr_deployed", "floor")]
            columns.append([reading["excess"] for reading in readings])
            spreads = [f"{100 * fmean(values):.1f} ± {100 * stdev(values):.1f}" for values in columns]
            lines.append(row([attack, defense, len(outcomes), *spreads]))
    return "\n".join(lines)


def _version(record: Record) -> int:
    """Which version of `standard` a record is of."""
    return recipe_of(record["outcomes"][0])


def ablation() -> str:
    """The recipe with one part changed at a time."""
    titles = settings()["attacks"]
    records = parts.read_records(ROOT / parts.RECORDS)
    return parts.table([{**record, "name": titles[record["name"]]} for record in records])


def unmet() -> str:
    """Attacks that the recipe was not built on."""
    return held_out.table(held_out.read_records(ROOT / held_out.RECORDS))


def doses() -> str:
    """How much poison in the reserve is too much."""
    return dose.table(dose.read_records(ROOT / dose.RECORDS))


def triggers_alone() -> str:
    """What triggers do to models that nobody poisoned."""
    return never_poisoned.table(never_poisoned.read_records(ROOT / never_poisoned.RECORDS))


def accuracy() -> str:
    """What `standard` costs, on every test row."""
    titles, found = settings()["attacks"], accuracies.read_records(ROOT / accuracies.RECORDS)
    return accuracies.table({(titles[name], seed): record for (name, seed), record in found.items()})


def perfect_filter() -> str:
    """What leaving out the poison alone costs, beside `standard`."""
    found, beside = filters.read_records(ROOT / filters.RECORDS), accuracies.read_records(ROOT / accuracies.RECORDS)
    titles = settings()["attacks"]
    return filters.table(
        *({(titles[name], seed): record for (name, seed), record in x.items()} for x in (found, beside))
    )


TABLES: dict[str, Callable[[], str]] = {
    "summary": summary,
    "headline": headline,
    "demo": demo,
    "attacks": attacks,
    "accuracy": accuracy,
    "perfect_filter": perfect_filter,
    "tasks": tasks,
    "ablation": ablation,
    "seeds": seeds,
    "five_readings": five_readings,
    "unmet": unmet,
    "doses": doses,
    "triggers_alone": triggers_alone,
}


def _short(rate: Record | None) -> str:
    """In percent, without the interval."""
    return "-" if rate is None or rate["value"] is None else f"{100 * rate['value']:.1f}"


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


def _pair(title: str, records: Sequence[Record]) -> str:
    """One line of an attack."""
    found = by_defense(records)
    before, after = (outcome_cells(found[name]) if name in found else [] for name in ("none", "standard"))
    before = before[: len(UNDEFENDED_HEAD)] or ["not run", "", ""]
    after = [*after, str(recipe_of(found["standard"]))] if after else ["not run", *[""] * len(OUTCOME_HEAD)]
    return row([title, records[0]["settings"]["train_rows"], *before, *after])


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
    change = [
        100 * (clean_accuracy(pair["standard"])["value"] - clean_accuracy(pair["none"])["value"]) for pair in taken
    ]
    return (
        f"Of {of}, {len(taken)} take undefended (ASR at least {TAKES:.0%}). With `standard` ({versions}) their "
        f"excess is {fmean(excess):+.1f} points on average and {max(excess):+.1f} at most; clean accuracy changes by "
        f"{fmean(change):+.1f} points on average, {min(change):+.1f} at worst."
    )
