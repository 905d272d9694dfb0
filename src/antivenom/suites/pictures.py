"""The pictures of a report, drawn as SVG without a library; colors are the page's, so that light and dark both fit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from antivenom.core.console import html_text
from antivenom.suites.effects import BINS
from antivenom.suites.statistics import Difference

LINE, TOP, CHAR, WIDE = 24, 30, 7.2, 56
SLANT = 0.65
"""How high a slanted name is, for its length."""


class Square(NamedTuple):
    """One field of a heat map."""

    value: float | None
    """Between -1 and 1; none where there is no record."""
    title: str
    link: str = ""
    """The record that it comes from."""


class ForestRow(NamedTuple):
    """One line of a forest plot."""

    name: str
    interval: Difference
    link: str = ""


class Dot(NamedTuple):
    """One point of a scatter plot."""

    name: str
    x: float
    y: float


class Series(NamedTuple):
    """One line of a line chart, in percent over x, with intervals."""

    name: str
    points: tuple[tuple[float, float, float, float], ...]
    """x, value, low, high; shares between 0 and 1."""


def heat_map(rows: Sequence[str], columns: Sequence[str], squares: Sequence[Sequence[Square]], what: str) -> str:
    """Shares by row and column: the darker, the larger; a dashed field has no record."""
    left, top = _width(rows), 16 + round(SLANT * CHAR * max(map(len, columns)))
    parts = [
        f'<text transform="translate({left + WIDE * (i + 0.5):.0f} {top - 6}) rotate(-40)">{html_text(name)}</text>'
        for i, name in enumerate(columns)
    ]
    for r, (name, line) in enumerate(zip(rows, squares, strict=True)):
        parts.append(_text(left - 8, top + LINE * r + 16, name, "end"))
        parts += [_square(left + WIDE * c, top + LINE * r, square) for c, square in enumerate(line)]
    wide = left + WIDE * len(columns) + CHAR * len(columns[-1])
    return _picture(wide, top + LINE * len(rows) + 6, parts, what)


def _square(x: float, y: float, square: Square) -> str:
    title = f"<title>{html_text(square.title)}</title>"
    rect = f'x="{x:.0f}" y="{y}" width="{WIDE - 2}" height="{LINE - 2}"'
    if square.value is None:
        return f'<rect class="none" {rect}>{title}</rect>' + _text(x + WIDE / 2, y + 16, "·", "middle")
    share = min(1.0, max(0.0, square.value))
    drawn = f'<rect class="box" {rect}/><rect class="heat" {rect} fill-opacity="{share:.3f}">{title}</rect>'
    number = _text(x + WIDE / 2, y + 16, f"{100 * square.value:+.0f}", "middle", "over" if share > 0.5 else "")
    return _linked(drawn + number, square.link)


def forest(rows: Sequence[ForestRow], what: str, *, around_zero: bool = True) -> str:
    """Values with their intervals, in percent or points.

    Args:
        rows: The lines.
        what: What the picture shows.
        around_zero: The values are differences: zero is shown, and signs are written.
    """
    left, wide = _width([row.name for row in rows]), 460.0
    ends = [100 * end for row in rows for end in row.interval] + ([0.0] if around_zero else [])
    ticks = steps_between(min(ends), max(ends))

    def across(value: float) -> float:
        return left + wide * (value - ticks[0]) / (ticks[-1] - ticks[0])

    height = TOP + LINE * len(rows)
    parts = [f'<path class="grid" d="M{across(tick):.1f} {TOP - 6}V{height}"/>' for tick in ticks]
    if around_zero:
        parts.append(f'<path class="axis" d="M{across(0):.1f} {TOP - 6}V{height}"/>')
    parts += [
        _text(across(tick), height + 18, f"{tick:+g}" if around_zero and tick else f"{tick:g}", "middle")
        for tick in ticks
    ]
    for number, row in enumerate(rows):
        y = TOP + LINE * number + 12
        value, low, high = (across(100 * end) for end in row.interval)
        shown = " ".join(f"{100 * end:.1f}" for end in row.interval)
        title = f"<title>{html_text(row.name)}: {shown}</title>"
        dot = f'<circle class="dot" cx="{value:.1f}" cy="{y}" r="4">{title}</circle>'
        parts.append(_text(left - 8, y + 4, row.name, "end"))
        parts.append(f'<path class="line" d="M{low:.1f} {y}H{high:.1f}"/>')
        parts.append(_linked(dot, row.link))
    return _picture(left + wide + 40, height + 26, parts, what)


def scatter(dots: Sequence[Dot], x_name: str, y_name: str, what: str) -> str:
    """Points by number, and their names beside them."""
    right, bottom, left, top = 520.0, 270.0, 60.0, 34.0
    across, up = (steps_between(*ends([getattr(dot, axis) for dot in dots])) for axis in ("x", "y"))

    def place(x: float, y: float) -> tuple[float, float]:
        share, high = (x - across[0]) / (across[-1] - across[0]), (y - up[0]) / (up[-1] - up[0])
        return left + (right - left) * share, bottom - (bottom - top) * high

    parts = [f'<path class="axis" d="M{left} {top}V{bottom}H{right}"/>']
    for tick in up:
        y = place(across[0], tick)[1]
        parts += [f'<path class="grid" d="M{left} {y:.1f}H{right}"/>', _text(left - 6, y + 4, f"{tick:g}", "end")]
    parts += [_text(place(tick, up[0])[0], bottom + 18, f"{tick:g}", "middle") for tick in across]
    parts += [_text((left + right) / 2, bottom + 38, x_name, "middle"), _text(left, 16, y_name, "start")]
    for number, dot in enumerate(sorted(dots, key=lambda dot: (dot.x, dot.y)), 1):
        x, y = place(dot.x, dot.y)
        title = f"<title>{html_text(dot.name)}</title>"
        parts.append(f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="4">{title}</circle>')
        parts.append(_text(x + 5, y - 6, str(number), "start"))
        parts.append(_text(right + 34, top + 16 * (number - 1), f"{number}  {dot.name}", "start"))
    wide = right + 34 + _width([dot.name for dot in dots])
    return _picture(wide, max(bottom + 46, top + 16 * len(dots)), parts, what)


def ends(values: Sequence[float]) -> tuple[float, float]:
    """The smallest and the largest value, or a little around them where they are nearly the same."""
    low, high = min(values), max(values)
    room = max(0.0, 1 - (high - low)) / 2
    return low - room, high + room


def steps_between(low: float, high: float) -> list[float]:
    """Round numbers at equal distances, from at or below `low` to at or above `high`: some four to nine."""
    span = max(high - low, 1e-6)
    size = 10.0 ** math.floor(math.log10(span / 3))
    step = next(size * factor for factor in (1, 2, 5, 10) if span / (size * factor) <= 7)
    first = math.floor(low / step + 1e-9)
    last = max(first + 1, math.ceil(high / step - 1e-9))
    return [round(step * number, 10) for number in range(first, last + 1)]


def lines(series: Sequence[Series], x_name: str, what: str) -> str:
    """Shares over a quantity, with bands of intervals."""
    width, height, left, bottom = 620.0, 300.0, 56.0, 250.0
    xs = sorted({point[0] for each in series for point in each.points})
    span = (xs[-1] - xs[0]) or 1.0

    def place(x: float, share: float) -> tuple[float, float]:
        return left + (width - left - 150) * (x - xs[0]) / span, bottom - (bottom - 30) * share

    parts = [f'<path class="axis" d="M{left} 24V{bottom}H{width - 140}"/>']
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = place(xs[0], share)[1]
        parts.append(f'<path class="grid" d="M{left} {y:.1f}H{width - 140}"/>')
        parts.append(_text(left - 6, y + 4, f"{100 * share:.0f}", "end"))
    last = -math.inf
    for x in xs:
        if (here := place(x, 0)[0]) - last > CHAR * 5:  # names of close values would stand upon each other
            parts.append(_text(here, bottom + 18, f"{x:g}", "middle"))
            last = here
    parts.append(_text((left + width - 150) / 2, bottom + 38, x_name, "middle"))
    named: list[float] = []
    for number, each in enumerate(series):
        upper = [place(x, high) for x, _, _, high in each.points]
        lower = [place(x, low) for x, _, low, _ in reversed(each.points)]
        middle = [place(x, value) for x, value, _, _ in each.points]
        parts.append(f'<polygon class="band c{number % 4}" points="{_points([*upper, *lower])}"/>')
        parts.append(f'<polyline class="curve c{number % 4}" points="{_points(middle)}"/>')
        parts += [f'<circle class="c{number % 4} mark" cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in middle]
        y = middle[-1][1] + 4
        while any(abs(y - other) < 14 for other in named):
            y -= 14
        named.append(y)
        parts.append(_text(middle[-1][0] + 10, y, each.name, "start", f"t{number % 4}"))
    return _picture(width, height, parts, what)


def histogram(series: Sequence[tuple[str, Sequence[int]]], x_name: str, what: str) -> str:
    """How often each probability occurs, one above the other."""
    left, wide, tall = _width([name for name, _ in series]), 20.0, 60.0
    parts = []
    for number, (name, counts) in enumerate(series):
        base, most = TOP + (tall + 16) * (number + 1) - 16, max(1, *counts)
        parts.append(_text(left - 8, base - 20, name, "end"))
        parts.append(f'<path class="axis" d="M{left} {base}h{wide * BINS}"/>')
        for place, count in enumerate(counts):
            high = tall * count / most
            title = f"<title>{place / BINS:.2f} to {(place + 1) / BINS:.2f}: {count}</title>"
            box = f'x="{left + wide * place + 1:.0f}" y="{base - high:.1f}" width="{wide - 2:.0f}" height="{high:.1f}"'
            parts.append(f'<rect class="bar" {box}>{title}</rect>')
    height = TOP + (tall + 16) * len(series)
    parts += [_text(left + wide * BINS * share, height + 4, f"{share:g}", "middle") for share in (0, 0.5, 1)]
    parts.append(_text(left + wide * BINS / 2, height + 22, x_name, "middle"))
    return _picture(left + wide * BINS + 20, height + 30, parts, what)


def _linked(drawn: str, link: str) -> str:
    return f'<a href="{html_text(link)}">{drawn}</a>' if link else drawn


def _width(names: Sequence[str]) -> float:
    return 20 + CHAR * max([4, *map(len, names)])


def _points(places: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)


def _text(x: float, y: float, text: str, anchor: str, kind: str = "") -> str:
    mark = f' class="{kind}"' if kind else ""
    return f'<text{mark} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{html_text(text)}</text>'


def _picture(width: float, height: float, parts: Sequence[str], what: str) -> str:
    size = f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}"'
    label = f'role="img" aria-label="{html_text(what)}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {label}>{"".join(parts)}</svg>'
