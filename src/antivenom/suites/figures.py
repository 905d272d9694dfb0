"""Which pictures a report has, and what they show of its groups."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from antivenom.suites import pictures
from antivenom.suites.cell import Place
from antivenom.suites.lines import Group

SWEPT = ("attack", "defense", "recipe")
NUMBER = re.compile(r"^(?P<name>.*?)[\s=]*(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>%?)$")


class Figure(NamedTuple):
    """A picture with its title."""

    title: str
    svg: str


def figures_of(groups: Sequence[Group]) -> list[Figure]:
    """Every picture that the groups have the numbers for."""
    plain = [group for group in groups if not group.place.control]
    found = []
    for place in dict.fromkeys(_setting(group) for group in plain):
        members = [group for group in plain if _setting(group) == place]
        title = ", ".join((place.task, place.model, place.recipe))
        if any(group.records for group in members):
            found += _of_setting(title, members)
    return found + _sweeps(plain)


def _of_setting(title: str, members: Sequence[Group]) -> list[Figure]:
    """Heat map, forest plot, accuracy against cost, accuracy by defense, confidence."""
    done = [group for group in members if group.records]
    attacks, defenses = (list(dict.fromkeys(getattr(g.place, axis) for g in members)) for axis in ("attack", "defense"))
    by_place = {(group.place.attack, group.place.defense): group for group in members}
    squares = [[_square(by_place.get((attack, defense))) for defense in defenses] for attack in attacks]
    heading = f"Excess by attack and defense, points ({title})"
    found = [Figure(heading, pictures.heat_map(attacks, defenses, squares, heading))]
    rows = [(group, group.excess()) for group in done]
    lines = [
        pictures.ForestRow(f"{g.place.attack}, {g.place.defense}", excess) for g, excess in rows if excess is not None
    ]
    if lines:
        heading = f"Excess with 95 % intervals, points ({title})"
        found.append(Figure(heading, pictures.forest(lines, heading)))
    dots = [_cost(name, [group for group in done if group.place.defense == name]) for name in defenses]
    dots = [dot for dot in dots if dot is not None]
    if len(dots) > 1:
        heading = f"Accuracy against cost ({title})"
        drawn = pictures.scatter(
            [d for d in dots if d], "seconds of training, mean of a cell", "clean accuracy, %", heading
        )
        found.append(Figure(heading, drawn))
    return [*found, *_confidence(title, done)]


def _square(group: Group | None) -> pictures.Square:
    if group is None:
        return pictures.Square(None, "not in the suite")
    excess, name = group.excess(), f"{group.place.attack}, {group.place.defense}"
    if excess is None:
        return pictures.Square(None, f"{name}: {group.state} {group.why}")
    interval = f"[{100 * excess.low:+.1f}, {100 * excess.high:+.1f}]"
    return pictures.Square(excess.value, f"{name}: {100 * excess.value:+.1f} {interval}")


def _cost(name: str, groups: Sequence[Group]) -> pictures.Dot | None:
    """A defense's mean accuracy over its mean seconds; trainings that were shared count where they were done."""
    accuracies = [found.value for group in groups if (found := group.counted("accuracy")) is not None]
    seconds = [record.ledger.seconds for group in groups for record in group.records]
    if not accuracies:
        return None
    return pictures.Dot(name, sum(seconds) / len(seconds), 100 * sum(accuracies) / len(accuracies))


def _confidence(title: str, done: Sequence[Group]) -> list[Figure]:
    """The paper's Figure 2: the probability of the attacker's answer to attacked rows, by defense, for each attack."""
    found = []
    for attack in dict.fromkeys(group.place.attack for group in done):
        series = []
        for group in done:
            counts = [r.effects.confidence for r in group.records if r.effects.confidence]
            if group.place.attack == attack and counts:
                series.append((group.place.defense, [sum(column) for column in zip(*counts, strict=True)]))
        if series:
            heading = f"Probability of the attacker's answer, attacked rows: {attack} ({title})"
            found.append(Figure(heading, pictures.histogram(series, "probability", heading)))
    return found


def _sweeps(groups: Sequence[Group]) -> list[Figure]:
    """The paper's Figure 3: accuracy and attack success where names differ in a number alone (rate, ratio, rank)."""
    found = []
    for axis in SWEPT:
        families: dict[tuple[Place, str], dict[float, Group]] = {}
        for group in groups:
            match = NUMBER.match(getattr(group.place, axis))
            if match is not None and group.records:
                key = replace(group.place, **{axis: match["name"]}), match["unit"]
                families.setdefault(key, {})[float(match["number"])] = group
        for (place, unit), members in families.items():
            if len(members) > 1:
                heading = f"Over the number behind {getattr(place, axis) or axis}: {str(place).replace('//', '/')}"
                series = [
                    _series(label, name, members) for label, name in (("accuracy", "accuracy"), ("ASR", "asr_deployed"))
                ]
                series = [each for each in series if each.points]
                found.append(Figure(heading, pictures.lines(series, f"{getattr(place, axis)} {unit}".strip(), heading)))
    return found


def _series(label: str, name: str, members: dict[float, Group]) -> pictures.Series:
    points = []
    for number in sorted(members):
        counted = members[number].counted(name)
        if counted is not None:
            points.append((number, counted.value, *counted.interval()))
    return pictures.Series(label, tuple(points))


def _setting(group: Group) -> Place:
    return replace(group.place, attack="", defense="", control="")
