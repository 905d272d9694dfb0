"""The recipe that ships, in one version alone, beside undefended models and P2P as published.

The records are finished cells of suites/shipped.yaml, in whichever folder of results their seed was run; those of
another version of `standard` are passed over.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable
from functools import cache
from statistics import fmean, stdev
from typing import Any

from antivenom.defenses.standard import VERSION
from antivenom.suites.suite import load_suite
from research import charts
from research.archive import ROOT, percent, row
from research.suite_tables import DECIDING, NO_ROWS_POISONED, decisions_of

Record = dict[str, Any]
UNDEFENDED, PUBLISHED, STANDARD = "none", "p2p@paper", "standard"
NOT_RUN = "not run"
SUITE, FOLDERS = ROOT / "suites" / "shipped.yaml", ("baselines", "shipped")
"""The suite of the table, and the results with its cells; the first seed is among the baselines."""


def shipped() -> str:
    """One line per attack: what attacker and user get undefended, with P2P as published, and with `standard`."""
    name = f"`standard` {VERSION}"
    head = ["attack", "attack success undefended", "its floor", "P2P as published", name, "its floor"]
    head += ["accuracy undefended", name, "honest rows left out", "tokens trained", "seeds"]
    lines = [row(head), row(["---"] * len(head))]
    for title, found in fits().items():
        none, published, standard = (found.get(defense, {}) for defense in (UNDEFENDED, PUBLISHED, STANDARD))
        if not none:
            continue
        seeds = none.keys() & standard.keys() or none.keys()
        cells = [_cell(none, seeds, _success), _cell(none, seeds, _floor), _cell(published, seeds, _success)]
        cells += [_cell(standard, seeds, read) for read in (_success, _floor)]
        cells += [_cell(one, seeds, _accuracy) for one in (none, standard)]
        lines.append(row([title, *cells, _cell(standard, seeds, _lost), _work(standard, none), len(seeds)]))
    return "\n".join(lines)


def shipped_picture() -> str:
    """The same attacks as bars, means over seeds."""
    bars = []
    for title, found in fits().items():
        none, standard = (list(found.get(defense, {}).values()) for defense in (UNDEFENDED, STANDARD))
        if none:
            success = [_mean(one, _success) for one in (none, standard)]
            bars.append(charts.Bar(title, success[0], success[1], _mean(standard, _floor)))
    return charts.bars(bars)


def decided() -> str:
    """Of how many attacks each filter teaches how much, and beside earlier versions of `standard`."""
    archived = _held_out()
    versions = sorted(version for version, _ in archived.values())
    first = sum(leaked for _, leaked in archived.values())
    return "\n".join(
        [
            *(_decided(name, archived.keys()) for name in DECIDING),
            f"When versions {versions[0]} to {versions[-1]} of `standard`, with fine-tuned referees, last met these "
            f"{len(archived)} attacks, they taught {first}.",
        ]
    )


def _decided(name: str, outsiders: Collection[str]) -> str:
    decisions = decisions_of(name)
    shares = [one["poison_taught"] / one["poisoned"] for one in decisions if one["poisoned"]]
    some = [share for share in shares if share > 0]
    counts = [sum(low < share <= high for share in some) for low, high in ((0, 0.1), (0.1, 0.3), (0.3, 1))]
    halves = []
    for half in ("choose", "check"):
        own = [one for one in decisions if one["half"] == half]
        taught, poisoned = (sum(one[key] for one in own) for key in ("poison_taught", "poisoned"))
        lost = fmean(one["honest_lost"] / one["honest"] for one in own)
        halves.append(f"{taught} of {poisoned} poisoned rows ({100 * lost:.0f} % of the honest ones lost)")
    met = [one for one in decisions if one["attack"] in outsiders]
    taught, poisoned = (sum(one[key] for one in met) for key in ("poison_taught", "poisoned"))
    return (
        f"Of {len(shares)} attacks `{name}` teaches no poisoned row of {len(shares) - len(some)}, at most a tenth of "
        f"the poisoned rows of {counts[0]}, up to three tenths of {counts[1]}, and more of {counts[2]}; of the half "
        f"for choosing {halves[0]}, of the half looked at once {halves[1]}. Of {poisoned} poisoned rows of {len(met)} "
        f"attacks by outsiders it teaches {taught}."
    )


def _held_out() -> dict[str, tuple[int, int]]:
    """Of each attack by outsiders: the last version of `standard` that met it, and the poisoned rows that it taught."""
    found: dict[str, tuple[int, int]] = {}
    known = {one["attack"] for one in decisions_of(STANDARD)}
    for path in (ROOT / "results" / "archive" / "held_out").glob("*-standard-*.json"):
        name, version = path.stem.split("-standard-")
        [outcome] = json.loads(path.read_text(encoding="utf-8"))["outcomes"]
        if name in known:
            found[name] = max(found.get(name, (0, 0)), (int(version), outcome["leaked"]))
    return found


@cache
def fits() -> dict[str, dict[str, dict[int, Record]]]:
    """The records by attack, defense and seed, in the order of the suite; the controls are a line of their own."""
    attacks = load_suite(SUITE).attacks
    assert isinstance(attacks, dict), attacks
    names = {spec: name for name, spec in attacks.items()}
    found: dict[str, dict[str, dict[int, Record]]] = {name: {} for name in (*names.values(), "nothing poisoned")}
    kept = [path for name in FOLDERS for path in sorted((ROOT / "results" / name / "records").glob("*.json"))]
    records = [json.loads(path.read_text(encoding="utf-8")) for path in kept]
    for record in (each for each in records if _setting(each) == _setting(records[0])):
        cell = record["cell"]
        title = "nothing poisoned" if cell["control"] == NO_ROWS_POISONED else names.get(cell["attack"])
        if title is not None and _of_this_version(record):
            found[title].setdefault(cell["defense"], {})[cell["seed"]] = record
    return found


def _setting(record: Record) -> tuple[Any, ...]:
    """What must be alike in one table: everything but attack, defense, control and seed."""
    return tuple(record["cell"][key] for key in ("task", "model", "recipe", "trusted_share"))


def _of_this_version(record: Record) -> bool:
    return record["cell"]["defense"] != STANDARD or record["facts"]["recipe"] == f"standard-{VERSION}"


def _cell(found: dict[int, Record], seeds: Iterable[int], read: Callable[[Record], Record]) -> str:
    """One seed with Wilson's interval; several as mean and standard deviation."""
    rates = [read(found[seed]) for seed in sorted(seeds) if seed in found]
    if not rates:
        return NOT_RUN
    if len(rates) == 1:
        return percent(rates[0]) if "low" in rates[0] else f"{100 * rates[0]['value']:.1f}"
    values = [100 * float(rate["value"]) for rate in rates]
    return f"{fmean(values):.1f} ± {stdev(values):.1f}"


def _work(standard: dict[int, Record], none: dict[int, Record]) -> str:
    """How many times the tokens of the undefended training."""
    both = standard.keys() & none.keys()
    times = [standard[seed]["ledger"]["tokens"] / none[seed]["ledger"]["tokens"] for seed in both]
    return f"{fmean(times):.1f} times" if times else NOT_RUN


def _mean(records: list[Record], read: Callable[[Record], Record]) -> float | None:
    return fmean(float(read(one)["value"]) for one in records) if records else None


def _success(record: Record) -> Record:
    found: Record = record["evaluation"]["attacks"][0]["asr_deployed"]
    return found


def _floor(record: Record) -> Record:
    return {"value": record["evaluation"]["attacks"][0]["floor"]["value"]}


def _accuracy(record: Record) -> Record:
    found: Record = record["evaluation"]["clean"]["accuracy"]
    return found


def _lost(record: Record) -> Record:
    return {"value": record["teaching"]["honest_lost"] / record["teaching"]["honest"]}
