"""The tables that are put together from results of suites, and from what filters decided without training."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from antivenom.suites.suite import Choice, load_suite
from research.archive import ROOT, percent, row, short

DECIDING = ("standard", "leave_group_out")
NO_ROWS_POISONED = "never poisoned"
P2P_AS_CODED = "p2p@paper_code"
PARTS_OF_SUCCESS = ("alpha", "epsilon", "beta")
PARTS = ("attack", "model", "defense")
"""What tells one line of a table from another."""
Record = dict[str, Any]


def baselines() -> str:
    """Every finished cell of suites/baselines.yaml."""
    return _cells("baselines")


def trusted() -> str:
    """Every finished cell of suites/baselines_trusted.yaml."""
    return _cells("baselines_trusted")


def taught() -> str:
    """The finished cells of suites/ablation.yaml, and those of the baselines that are the same."""
    return _cells("ablation", "baselines")


def second_model() -> str:
    """Every finished cell of suites/second_model.yaml."""
    return _cells("second_model")


def second_model_trusted() -> str:
    """Every finished cell of suites/second_model_trusted.yaml."""
    return _cells("second_model_trusted")


def carry_over() -> str:
    """What a trigger still gets behind P2P as published and as coded, on either model."""
    suite, records = load_suite(ROOT / "suites" / "second_model_trusted.yaml"), _records("second_model_trusted")
    attacks, models = _named(suite.attacks), _named(suite.models)
    rates = sorted({recipe.learning_rate for recipe in suite.recipes.values()})
    head = (
        "trigger",
        "model",
        "learning rate",
        "undefended",
        "P2P as published",
        "P2P as coded",
        "its floor",
        *PARTS_OF_SUCCESS,
        "accuracy",
    )
    lines = [row(head), row(["---"] * len(head))]
    for (title, attack), (model, place), rate in product(attacks.items(), models.items(), rates):
        found = {one["cell"]["defense"]: one for one in records if _is_of(one, attack, place, rate)}
        if P2P_AS_CODED not in found:
            continue
        cells = [_success(found.get(each)) for each in ("none", "p2p@paper", P2P_AS_CODED)]
        coded = found[P2P_AS_CODED]["evaluation"]
        reading = coded["attacks"][0]
        cells += [short(reading[part]) if reading[part]["total"] else "-" for part in ("floor", *PARTS_OF_SUCCESS)]
        lines.append(row([title, model, f"{rate:g}", *cells, percent(coded["clean"]["accuracy"])]))
    return "\n".join(lines)


def _is_of(record: Record, attack: str, model: str, rate: float) -> bool:
    cell = record["cell"]
    return (cell["attack"], cell["model"], cell["recipe"]["learning_rate"]) == (attack, model, rate)


def _success(record: Record | None) -> str:
    return "not run" if record is None else percent(record["evaluation"]["attacks"][0]["asr_deployed"])


def image_text() -> str:
    """Every finished cell of suites/small/table9.yaml on the model that was put together here."""
    return _cells("small/table9")


def summaries() -> str:
    """Every finished cell of suites/small/table11.yaml: ROUGE on clean rows, and what attacked rows get."""
    defenses = {spec: name for name, spec in _named(load_suite(ROOT / "suites/small/table11.yaml").defenses).items()}
    found = {one["cell"]["defense"]: one for one in _records("table11")}
    scores = ("rouge1", "rouge2", "rougeL")
    head = ("defense", "ROUGE-1", "ROUGE-2", "ROUGE-L", "attack success", "floor", "poison taught")
    lines = [row(head), row(["---"] * len(head))]
    for spec, name in defenses.items():
        if spec in found:
            evaluation, teaching = found[spec]["evaluation"], found[spec]["teaching"]
            rouge = [f"{100 * evaluation['clean']['scores'][one]:.1f}" for one in scores]
            reading = evaluation["attacks"][0]
            taught = f"{teaching['poison_taught']} of {teaching['poisoned']}"
            lines.append(row([name, *rouge, percent(reading["asr_deployed"]), short(reading["floor"]), taught]))
    return "\n".join(lines)


def arithmetic() -> str:
    """The same fits in fp32 and in bf16 (suites/precision.yaml)."""
    tasks = load_suite(ROOT / "suites" / "precision.yaml").tasks
    head = ("rows", "seed", "arithmetic", "accuracy", "attack success", "floor")
    lines = [row(head), row(["---"] * len(head))]
    for name, task in tasks.items():
        found = [one for one in _records("precision") if one["cell"]["task"]["train"] == task.train]
        for one in sorted(found, key=lambda one: (one["cell"]["seed"], one["cell"]["recipe"]["precision"])):
            cell, evaluation = one["cell"], one["evaluation"]
            reading = evaluation["attacks"][0]
            rates = (evaluation["clean"]["accuracy"], reading["asr_deployed"], reading["floor"])
            lines.append(row([name, str(cell["seed"]), cell["recipe"]["precision"], *map(percent, rates)]))
    return "\n".join(lines)


def honest_rows() -> str:
    """How many rows `standard` leaves out of eight tasks that nobody poisoned."""
    path = ROOT / "results" / "decisions" / "honest_rows-standard.json"
    head = ("task", "rows", "labels", "rows of the smallest", "lost", "most of one label")
    lines = [row(head), row(["---"] * len(head))]
    for one in json.loads(path.read_text(encoding="utf-8"))["tasks"]:
        cells = [one["task"], *(str(one[key]) for key in ("rows", "labels", "smallest"))]
        if "lost" in one:
            cells += [f"{100 * one['lost'] / one['rows']:.1f}", f"{100 * one['share_of_it']:.0f} of {one['most_of']}"]
        lines.append(row(cells if "lost" in one else [*cells, "refused", ""]))
    return "\n".join(lines)


def rare_label() -> str:
    """How much poison towards a rare label `standard` teaches."""
    path = ROOT / "results" / "decisions" / "rare_label-standard.json"
    head = ("attack", "share of all rows, %", "rows of the label", "poisoned", "of these taught", "honest rows lost")
    lines = [row(head), row(["---"] * len(head))]
    for one in json.loads(path.read_text(encoding="utf-8"))["decisions"]:
        cells = [one["attack"], f"{100 * one['rate']:g}", str(one["of_label"]), str(one["poisoned"])]
        found = (
            [str(one[key]) for key in ("poison_taught", "honest_lost")] if "poison_taught" in one else ["refused", ""]
        )
        lines.append(row([*cells, *found]))
    return "\n".join(lines)


def second_model_decided() -> str:
    """What `standard` decides with the hidden states of either model."""
    head = (
        "attack",
        "poisoned",
        *(f"{model} {does}" for does in ("teaches", "loses") for model in ("SmolLM2", "Qwen")),
    )
    lines = [row(head), row(["---"] * len(head))]
    own = {one["attack"]: one for one in decisions_of("standard")}
    for one in decisions_of("standard", "-qwen2.5-coder-0.5b"):
        both = own[one["attack"]], one
        cells = [str(each[key]) for key in ("poison_taught", "honest_lost") for each in both]
        lines.append(row([one["attack"], str(one["poisoned"]), *cells]))
    return "\n".join(lines)


def _cells(name: str, *others: str) -> str:
    """The finished cells of a suite, attack by attack, in the suite's order; records of other suites count too."""
    suite = load_suite(ROOT / "suites" / f"{name}.yaml")
    records = _records(Path(name).name, *others)
    attacks, models, defenses = (_named(part) for part in (suite.attacks, suite.models, suite.defenses))
    head = ["accuracy", "attack success", "floor", "excess", "poison taught", "honest rows lost"]
    head = ["attack", *["model"] * (len(models) > 1), "defense", *head]
    lines = [row(head), row(["---"] * len(head))]
    for title, attack in attacks.items():
        for model, place in models.items():
            names = [title, *[model] * (len(models) > 1)]
            for defense, spec in defenses.items():
                asked = (attack, place, spec)
                found = [one for one in records if tuple(one["cell"][part] for part in PARTS) == asked]
                found.sort(key=lambda one: str(one["cell"]["control"]))
                lines += [_baseline(names, defense, one) for one in found]
    return "\n".join(lines)


def _named(choice: Choice) -> dict[str, str]:
    """What a suite chooses, by what tables call it."""
    if isinstance(choice, Mapping):
        return dict(choice)
    return {one: one for one in ([choice] if isinstance(choice, str) else choice)}


def _records(*names: str) -> list[Record]:
    """The records of some results."""
    kept = [path for name in names for path in (ROOT / "results" / name / "records").glob("*.json")]
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(kept)]


def decisions() -> str:
    """What each filter decides about the rows of every attack."""
    head = ["attack", "half", "poisoned", *(f"{name} teaches" for name in DECIDING), "honest rows"]
    head += [f"{name} loses" for name in DECIDING]
    lines = [row(head), row(["---"] * len(head))]
    for both in zip(*(decisions_of(name) for name in DECIDING), strict=True):
        one = both[0]
        taught, lost = ([str(each[key]) for each in both] for key in ("poison_taught", "honest_lost"))
        lines.append(row([one["attack"], one["half"], str(one["poisoned"]), *taught, str(one["honest"]), *lost]))
    return "\n".join(lines)


def decisions_of(name: str, model: str = "") -> list[Record]:
    """What a filter decided about the rows of every attack, in the order of the attacks."""
    path = ROOT / "results" / "decisions" / f"{name}-sst2-seed0{model}.json"
    found: list[Record] = json.loads(path.read_text(encoding="utf-8"))["decisions"]
    return found


def _baseline(names: Sequence[str], defense: str, record: Record) -> str:
    reading, teaching = record["evaluation"]["attacks"][0], record["teaching"]
    title = f"{defense}, nothing poisoned" if record["cell"]["control"] == NO_ROWS_POISONED else defense
    cells: Sequence[str] = [
        percent(record["evaluation"]["clean"]["accuracy"]),
        percent(reading["asr_deployed"]),
        short(reading["floor"]),
        f"{100 * reading['excess']:+.1f}",
        f"{teaching['poison_taught']} of {teaching['poisoned']}",
        f"{teaching['honest_lost']} of {teaching['honest']}",
    ]
    return row([*names, title, *cells])
