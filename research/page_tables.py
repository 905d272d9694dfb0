"""The tables of README.md, docs and results, put together from records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean, stdev

from antivenom.evaluation.rates import mcnemar
from research import shipped, suite_tables
from research.archive import (
    OUTCOME_HEAD,
    Record,
    accuracy_of,
    change,
    first,
    label,
    outcome,
    outcome_cells,
    pair_of,
    pairs,
    percent,
    read,
    recipe_of,
    right,
    row,
    settings,
    short,
)
from research.paraphrases import paraphrases

TAKES = 0.9
"""An attack with less success without a defense proves nothing about any defense."""
ADAPTIVE = "adaptive:"


def demo() -> str:
    """What `make demo` prints; each run draws a benign trigger and a seed of its own."""
    head = ("clean accuracy", "ASR", "ASR extended", "ASR deployed", "floor", "excess")
    lines = _head("run", "", *head)
    for run, path in enumerate(settings()["demo"]["records"], start=1):
        for number, one in enumerate(read(path)["outcomes"]):
            rates = [one["evaluation"]["clean"]["accuracy"], *(first(one)[k] for k in ("asr", "asr_extended"))]
            rates += [first(one)["asr_deployed"], first(one)["floor"]]
            cells = ["-" if rate is None else percent(rate) for rate in rates]
            lines.append(row([run, label(path, number, one), *cells, f"{100 * first(one)['excess']:+.1f}"]))
    return "\n".join(lines)


def attacks() -> str:
    """One line per attack: undefended, and with `standard`."""
    head = ("rows", f"undefended: {OUTCOME_HEAD[0]}", *OUTCOME_HEAD[1:3], f"`standard`: {OUTCOME_HEAD[0]}")
    lines = _head("attack", *head, *OUTCOME_HEAD[1:], "version")
    for title, paths in settings()["attacks"].items():
        found, rows = pair_of(paths), read(next(filter(None, paths)))["settings"]["train_rows"]
        before = outcome_cells(found["none"])[:3] if "none" in found else ["not run", "", ""]
        after = ["not run", *[""] * 5]
        if "standard" in found:
            after = [*outcome_cells(found["standard"]), str(recipe_of(found["standard"]))]
        lines.append(row([title, rows, *before, *after]))
    return "\n".join([*lines, "", *_summaries()])


def tasks() -> str:
    """Other tasks, every defense of each record one line."""
    lines = _head("rows, attack", "defense", *OUTCOME_HEAD)
    for title, path in settings()["tasks"].items():
        for number, one in enumerate(read(path)["outcomes"]):
            lines.append(row([title, label(path, number, one), *outcome_cells(one)]))
    return "\n".join(lines)


def five_readings() -> str:
    """Undefended, P2P as published and the recipe under every reading, and what the readings are made of."""
    head = ("ASR", "ASR extended", "ASR deployed", "floor", "excess", "alpha", "epsilon", "beta")
    lines = _head("attack", "defense", "accuracy", *head)
    for name, path in settings()["ablation"].items():
        attack, _, changed = name.partition(" | ")
        if changed in ("undefended", "P2P as published", "nothing"):
            one = outcome(path)
            cells = [short(first(one)[key]) for key in ("asr", "asr_extended", "asr_deployed", "floor")]
            cells += [
                f"{100 * first(one)['excess']:+.1f}",
                *(short(first(one)[k]) for k in ("alpha", "epsilon", "beta")),
            ]
            defense = f"`standard` {read(path)['version']}" if changed == "nothing" else changed
            lines.append(row([attack, defense, short(accuracy_of(one)), *cells]))
    return "\n".join(lines)


def seeds() -> str:
    """Mean and standard deviation over seeds of what was run with several by both."""
    lines = _head("attack", "defense", "seeds", "accuracy", "ASR", "floor", "excess")
    for name, paths in settings()["seeds"].items():
        ones = [outcome(path) for path in paths]
        columns = [[accuracy_of(one)["value"] for one in ones]]
        columns += [[first(one)[key]["value"] for one in ones] for key in ("asr_deployed", "floor")]
        columns.append([first(one)["excess"] for one in ones])
        spreads = [f"{100 * fmean(values):.1f} ± {100 * stdev(values):.1f}" for values in columns]
        lines.append(row([*name.split(" | "), len(ones), *spreads]))
    return "\n".join(lines)


def ablation() -> str:
    """The recipe with one part changed at a time."""
    lines = _head("attack", "changed", *OUTCOME_HEAD)
    for name, path in settings()["ablation"].items():
        attack, _, changed = name.partition(" | ")
        version = read(path).get("version")
        said = f"`standard` {version}: {changed}" if version else changed
        lines.append(row([attack, said, *outcome_cells(outcome(path))]))
    return "\n".join(lines)


def unmet() -> str:
    """Attacks that the recipe was not built on."""
    lines = _head("attack", "defense", *OUTCOME_HEAD)
    for path in settings()["unmet"].values():
        record, one = read(path), outcome(path)
        cells, version = outcome_cells(one), recipe_of(one)
        if record["rows"]["poisoned"]:
            lines.append(row([record["name"], f"`standard` {version}" if version else "undefended", *cells]))
        else:
            lines.append(row([record["name"], "nobody poisoned", *cells[:-1], "0"]))
    return "\n".join(lines)


def doses() -> str:
    """How much poison in the reserve is too much."""
    lines = _head("rows in the reserve", "poisoned", "share", "other rows", *OUTCOME_HEAD[:-1])
    for path in settings()["doses"].values():
        reserve = read(path)["settings"]["reserve"]
        size, poisoned = reserve["size"], reserve["poisoned"]
        others = {"drop": "left out", "keep": "trained on"}[reserve["others"]]
        lines.append(row([size, poisoned, f"{poisoned / size:.1%}", others, *outcome_cells(outcome(path))[:-1]]))
    return "\n".join(lines)


def triggers_alone() -> str:
    """What triggers do to models that nobody poisoned."""
    names = list(settings()["triggers_alone"])
    lines = _head("trigger of", *(f"`{name}`: {what}" for name in names for what in ("ASR", "floor", "excess")))
    records = [read(path) for path in settings()["triggers_alone"].values()]
    found = [{reading["name"]: reading for reading in record["evaluation"]["attacks"]} for record in records]
    for attack in dict.fromkeys(name for readings in reversed(found) for name in readings):
        cells = [attack]
        for readings in found:
            if attack not in readings:
                cells += ["not run", "", ""]
                continue
            cells += [f"{100 * readings[attack][key]['value']:.1f}" for key in ("asr_deployed", "floor")]
            cells.append(f"{100 * readings[attack]['excess']:+.1f}")
        lines.append(row(cells))
    return "\n".join(lines)


def accuracy() -> str:
    """What `standard` costs, on every test row."""
    counts = ("change", "right only undefended", "only defended", "p")
    lines = _head("attack", "seed", "version", "undefended", "`standard`", *counts)
    for name, path in settings()["accuracy"].items():
        record = read(path)
        before, after = right(record, "none"), right(record, "standard")
        pairing = mcnemar(before, after)
        rates = [f"{100 * before.mean():.1f}", f"{100 * after.mean():.1f}", f"{change(record):+.1f}"]
        found = [pairing.only_first, pairing.only_second, f"{pairing.p_value:.2f}"]
        lines.append(row([*name.split(" | "), record["version"], *rates, *found]))
    return "\n".join([*lines, "", _accuracy_summary()])


def perfect_filter() -> str:
    """What leaving out the poison alone costs, beside `standard`."""
    head = (
        "attack",
        "seed",
        "left out",
        "undefended",
        "perfect filter",
        "change",
        "p",
        "`standard`",
        "change",
        "version",
    )
    lines = _head(*head)
    for name, (path, other) in settings()["perfect_filter"].items():
        record, beside = read(path), read(other)
        before, after, perfect = right(beside, "none"), right(beside, "standard"), right(record, "perfect")
        changes = [f"{100 * (found.mean() - before.mean()):+.1f}" for found in (perfect, after)]
        rates = [f"{100 * found.mean():.1f}" for found in (before, perfect, after)]
        p_value = f"{mcnemar(before, perfect).p_value:.2f}"
        cells = [*name.split(" | "), record["left_out"], *rates[:2], changes[0], p_value, rates[2], changes[1]]
        lines.append(row([*cells, beside["version"]]))
    return "\n".join(lines)


TABLES: dict[str, Callable[[], str]] = {
    each.__name__: each
    for each in (
        suite_tables.baselines, suite_tables.trusted, suite_tables.decisions, suite_tables.taught,
        suite_tables.second_model, suite_tables.second_model_trusted, suite_tables.second_model_decided,
        suite_tables.carry_over, suite_tables.image_text, suite_tables.summaries, suite_tables.arithmetic,
        suite_tables.honest_rows, suite_tables.rare_label,
        shipped.shipped, shipped.decided,
        demo, attacks, accuracy, perfect_filter, tasks, ablation, seeds, five_readings, unmet, doses,
        triggers_alone, paraphrases,
    )
}  # fmt: skip


def _head(*names: str) -> list[str]:
    return [row(names), "|" + "---|" * len(names)]


def _summaries() -> list[str]:
    """Over the attacks that take; those of attackers who know the recipe apart."""
    both = {title: found for title, found in pairs().items() if len(found) == 2}
    usual = [found for title, found in both.items() if not title.startswith(ADAPTIVE)]
    adaptive = [found for title, found in both.items() if title.startswith(ADAPTIVE)]
    said = _summary(usual, "the attacks run with both"), _summary(adaptive, "the adaptive ones")
    return [sentence for sentence in said if sentence]


def _summary(found: Sequence[dict[str, Record]], of: str) -> str:
    taken = [pair for pair in found if first(pair["none"])["asr"]["value"] >= TAKES]
    if not taken:
        return ""
    excess = [100 * first(pair["standard"])["excess"] for pair in taken]
    versions = ", ".join(map(str, sorted({recipe_of(pair["standard"]) for pair in taken})))
    moved = [100 * (accuracy_of(p["standard"])["value"] - accuracy_of(p["none"])["value"]) for p in taken]
    return (
        f"Of {of}, {len(taken)} take undefended (ASR at least {TAKES:.0%}). With `standard` ({versions}) their "
        f"excess is {fmean(excess):+.1f} points on average and {max(excess):+.1f} at most; clean accuracy changes by "
        f"{fmean(moved):+.1f} points on average, {min(moved):+.1f} at worst."
    )


def _accuracy_summary() -> str:
    """The mean and the worst change, in a sentence."""
    records = [read(path) for path in settings()["accuracy"].values()]
    changes = [change(record) for record in records]
    return (
        f"On all {records[0]['rows']:,} test rows accuracy changes with `standard` by {fmean(changes):+.1f} points on "
        f"average and {min(changes):+.1f} at worst (pairs of models: {len(changes)}, one of them on clean rows)."
    )
