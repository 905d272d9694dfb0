"""Which pictures a report has, and what they show of its groups."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from antivenom.suites import pictures
from antivenom.suites.cell import Place
from antivenom.suites.lines import Group
from antivenom.suites.statistics import Difference

SWEPT = ("attack", "defense", "recipe")
NUMBER = re.compile(r"^(?P<name>.*?)[\s=]*(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>%?)$")


class Figure(NamedTuple):
    """A picture with its title."""

    title: str
    svg: str


def figures_of(groups: Sequence[Group], folder: str = "") -> list[Figure]:
    """Every picture that the groups have the numbers for.

    Args:
        groups: All of a results folder.
        folder: The way from the page to that folder, with a slash behind it, for links to records.
    """
    plain = [group for group in groups if not group.place.control]
    found = []
    for place in dict.fromkeys(_setting(group) for group in plain):
        members = [group for group in plain if _setting(group) == place]
        title = ", ".join((place.task, place.model, place.recipe))
        if any(group.records for group in members):
            found += _of_setting(title, members, folder)
    return found + _accuracies(plain, folder) + _sweeps(plain)


def _of_setting(title: str, members: Sequence[Group], folder: str) -> list[Figure]:
    """Heat map, forest plot, accuracy against cost, confidence."""
    done = [group for group in members if group.records]
    attacks, defenses = (list(dict.fromkeys(getattr(g.place, axis) for g in members)) for axis in ("attack", "defense"))
    by_place = {(group.place.attack, group.place.defense): group for group in members}
    squares = [[_square(by_place.get((attack, defense)), folder) for attack in attacks] for defense in defenses]
    heading = f"Excess by defense and attack, points ({title})"
    found = [Figure(heading, pictures.heat_map(defenses, attacks, squares, heading))]
    rows = [(group, group.excess()) for group in done]
    lines = [
        pictures.ForestRow(f"{g.place.attack}, {g.place.defense}", excess, folder + g.link)
        for g, excess in rows
        if excess is not None
    ]
    if lines:
        heading = f"Excess with 95 % intervals, points ({title})"
        found.append(Figure(heading, pictures.forest(lines, heading)))
    took = _training_seconds(done)
    dots = [_cost(name, [group for group in done if group.place.defense == name], took) for name in defenses]
    drawn = [dot for dot in dots if dot is not None]
    if len(drawn) > 1:
        heading = f"Accuracy against cost ({title})"
        words = "seconds of a cell on its machine, its trainings included", "clean accuracy, %"
        found.append(Figure(heading, pictures.scatter(drawn, *words, heading)))
    return [*found, *_confidence(title, done)]


def _square(group: Group | None, folder: str) -> pictures.Square:
    if group is None:
        return pictures.Square(None, "not in the suite")
    excess, name = group.excess(), f"{group.place.attack}, {group.place.defense}"
    if excess is None:
        return pictures.Square(None, f"{name}: {group.state} {group.why}")
    interval = f"[{100 * excess.low:+.1f}, {100 * excess.high:+.1f}]"
    return pictures.Square(excess.value, f"{name}: {100 * excess.value:+.1f} {interval}", folder + group.link)


def _training_seconds(groups: Sequence[Group]) -> dict[tuple[str, ...], float]:
    """What the trainings of a cell took where they were done: a cell that found them done says nothing of that."""
    found: dict[tuple[str, ...], float] = {}
    for record in (record for group in groups for record in group.records):
        found[record.fits] = max(found.get(record.fits, 0.0), record.ledger.train_seconds)
    return found


def _cost(name: str, groups: Sequence[Group], took: dict[tuple[str, ...], float]) -> pictures.Dot | None:
    """A defense's mean accuracy over its mean seconds, as if no other cell had done its trainings."""
    accuracies = [found.value for group in groups if (found := group.counted("accuracy")) is not None]
    records = [record for group in groups for record in group.records]
    seconds = [each.ledger.seconds - each.ledger.train_seconds + took[each.fits] for each in records]
    if not accuracies:
        return None
    return pictures.Dot(name, sum(seconds) / len(seconds), 100 * sum(accuracies) / len(accuracies))


def _accuracies(groups: Sequence[Group], folder: str) -> list[Figure]:
    """The paper's Figure 4: the clean accuracy of every model of a task, over all recipes."""
    found = []
    for task, model in dict.fromkeys((group.place.task, group.place.model) for group in groups):
        members = [group for group in groups if (group.place.task, group.place.model) == (task, model)]
        recipes = {group.place.recipe for group in members}
        rows = []
        for group in members:
            if (counted := group.counted("accuracy")) is not None:
                parts = (group.place.attack, group.place.defense, *([group.place.recipe] * (len(recipes) > 1)))
                rows.append(
                    pictures.ForestRow(
                        ", ".join(parts), Difference(counted.value, *counted.interval()), folder + group.link
                    )
                )
        if rows:
            heading = f"Clean accuracy with 95 % intervals, percent (as Figure 4; {task}, {model})"
            found.append(Figure(heading, pictures.forest(rows, heading, around_zero=False)))
    return found


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
            heading = f"Probability of the attacker's answer, attacked rows (as Figure 2): {attack} ({title})"
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
                where = str(place).replace("//", "/")
                heading = f"As Figure 3, over the number behind {getattr(place, axis) or axis}: {where}"
                series = [
                    _series(label, name, members) for label, name in (("accuracy", "accuracy"), ("ASR", "asr_deployed"))
                ]
                series = [each for each in series if each.points]
                if not series:
                    continue  # nothing was trained
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
