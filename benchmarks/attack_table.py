"""The records of attack_strength.py as a table: does each attack take, and if not, what would it need?"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

TAKES = 0.9
"""An attack with less success without a defense proves nothing about any defense (methods.md, section 7)."""
HEAD = ("attack", "rate", "poisoned", "defense", "leaked", "CA", "ASR", "ASR deployed", "of", "floor", "excess")
OUTCOME_HEAD = ("accuracy", "ASR", "floor", "excess", "poison taught")
Record = dict[str, Any]


def read_records(folder: Path) -> list[Record]:
    """Every record of the folder."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]


def table(records: Sequence[Record], names: Sequence[str], needs: Mapping[str, str]) -> str:
    """One Markdown table per setting, the attacks in the order of `names`, the undefended fit first."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(heading(record), []).append(record)
    parts = []
    for title, group in sorted(groups.items()):
        group.sort(key=lambda r: (names.index(r["name"]) if r["name"] in names else len(names), *_order(r)))
        lines = [line for record in group for line in _lines(record, group, needs)]
        parts.append("\n".join([f"{title}:", "", row([*HEAD, "takes"]), "|" + "---|" * (len(HEAD) + 1), *lines]))
    return "\n\n".join(parts) or "There are no records."


def heading(record: Record) -> str:
    """The settings that all lines of a table share."""
    settings = record["settings"]
    training = settings["training"]
    layers = training["top_layers"]
    parts = [
        f"{settings['model']}, {settings['train_rows']} training rows, {settings['test_rows']} test rows",
        f"{training['epochs']:g} epochs at {training['learning_rate']:g}, batch {training['batch_size']}",
        f"the top {layers} layers" if layers else "all layers",
        f"target {settings['target']}, seed {settings['seed']}",
    ]
    trusted = settings["trusted_share"]
    return ", ".join([*parts, f"{trusted:.0%} of the rows trusted"] if trusted else parts)


def _order(record: Record) -> tuple[float, bool, str]:
    defense = record["outcomes"][0]["defense"]
    return record["attack"]["rate"], defense["name"] != "none", json.dumps(defense)


def _lines(record: Record, group: Sequence[Record], needs: Mapping[str, str]) -> list[str]:
    """A line for the attack, and one for each of its triggers where they were measured alone, with their mean."""
    [outcome] = record["outcomes"]
    evaluation, defense = outcome["evaluation"], outcome["defense"]
    lines = []
    for number, reading in enumerate(evaluation["attacks"]):
        clean = (reading["accuracy_clean"] or evaluation["clean"]["accuracy"])["value"]
        head = [record["name"], f"{record['attack']['rate']:.1%}", record["rows"]["poisoned"]]
        head += [_defense(defense), outcome["leaked"] if defense["name"] != "none" else "", f"{clean:.1%}"]
        if number:
            head = [f"{record['name']}: {_only(reading['attack'])}", "", "", "", "", ""]
        rates = [f"{reading[key]['value']:.1%}" for key in ("asr", "asr_deployed")]
        rest = [reading["asr"]["total"], f"{reading['floor']['value']:.1%}", f"{100 * reading['excess']:+.1f}"]
        lines.append(row([*head, *rates, *rest, "" if number else _verdict(record, group, needs)]))
    for mean in evaluation.get("averages", []):
        means = [f"{mean[key]:.1%}" for key in ("asr", "asr_deployed")]
        rest = ["", f"{mean['floor']:.1%}", f"{100 * mean['excess']:+.1f}", ""]
        lines.append(row([f"{record['name']}: mean of its triggers", *[""] * 5, *means, *rest]))
    return lines


def _verdict(record: Record, group: Sequence[Record], needs: Mapping[str, str]) -> str:
    """Whether the undefended attack takes; if not, at which recorded rate it does, or what its authors used."""
    if record["outcomes"][0]["defense"]["name"] != "none":
        return ""
    if record["outcomes"][0]["evaluation"]["clean"]["collapsed"]:
        return "invalid: the model collapsed"
    if _takes(record):
        return "yes"
    name, rate = record["name"], record["attack"]["rate"]
    stronger = [r["attack"]["rate"] for r in group if r["name"] == name and _takes(r) and r["attack"]["rate"] > rate]
    if stronger:
        return f"no; takes at {min(stronger):.1%}"
    return "; ".join(["no", *([needs[name]] if name in needs else [])])


def _takes(record: Record) -> bool:
    [outcome] = record["outcomes"]
    if outcome["defense"]["name"] != "none" or outcome["evaluation"]["clean"]["collapsed"]:
        return False
    return float(outcome["evaluation"]["attacks"][0]["asr"]["value"]) >= TAKES


def _defense(options: dict[str, Any]) -> str:
    """The defense by name and what is not its default, without its secrets."""
    from antivenom.defenses import defenses

    return str(defenses()[options["name"]].from_dict({k: v for k, v in options.items() if k != "name"}))


def _only(attack: str) -> str:
    """Which trigger alone a reading is about."""
    return attack.partition("probe_only=")[2].split(";")[0].strip('"') or attack


def outcome_cells(outcome: Record) -> list[str]:
    """What one fit gave, in percent, with Wilson's intervals: the cells under `OUTCOME_HEAD`."""
    reading = outcome["evaluation"]["attacks"][0]
    # Undefended, the space that is read is the only one, and every poisoned row is taught in it.
    taught = "all" if outcome["defense"]["name"] == "none" else str(outcome["leaked"])
    if corrected := outcome.get("corrected"):
        taught += f" (and {corrected} corrected)"
    rates = [percent(clean_accuracy(outcome)), percent(reading["asr_deployed"])]
    return [*rates, f"{100 * reading['floor']['value']:.1f}", f"{100 * reading['excess']:+.1f}", taught]


def clean_accuracy(outcome: Record) -> Record:
    """Clean accuracy, in the attack's own form of clean rows where it has one."""
    evaluation = outcome["evaluation"]
    found: Record = evaluation["attacks"][0]["accuracy_clean"] or evaluation["clean"]["accuracy"]
    return found


def percent(rate: Mapping[str, float]) -> str:
    """A rate in percent with Wilson's 95 % interval."""
    return f"{100 * rate['value']:.1f} [{100 * rate['low']:.0f}, {100 * rate['high']:.0f}]"


def row(cells: Sequence[object]) -> str:
    """One line of a Markdown table."""
    return f"| {' | '.join(str(cell).replace('|', '&#124;') for cell in cells)} |"
