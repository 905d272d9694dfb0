"""The pictures of a report, drawn as SVG without a library; colors are the page's, so that light and dark both fit."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from antivenom.suites.effects import BINS
from antivenom.suites.statistics import Difference

LINE, TOP, CHAR = 24, 30, 7.2


class Square(NamedTuple):
    """One field of a heat map."""

    value: float | None
    """Between -1 and 1; none where there is no record."""
    title: str


class ForestRow(NamedTuple):
    """One line of a forest plot."""

    name: str
    interval: Difference


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
    """Shares by row and column: the darker, the larger; a hatched field has no record."""
    left = _width(rows)
    wide = max(64.0, *(CHAR * len(name) + 10 for name in columns))
    parts = [_text(left + wide * (i + 0.5), 18, name, "middle") for i, name in enumerate(columns)]
    for r, (name, line) in enumerate(zip(rows, squares, strict=True)):
        y = TOP + LINE * r
        parts.append(_text(left - 8, y + 16, name, "end"))
        for c, square in enumerate(line):
            x = left + wide * c
            title = f"<title>{escape(square.title)}</title>"
            if square.value is None:
                parts.append(
                    f'<rect class="none" x="{x:.0f}" y="{y}" width="{wide - 2:.0f}" height="{LINE - 2}">{title}</rect>'
                )
                parts.append(_text(x + wide / 2, y + 16, "·", "middle"))
                continue
            share = min(1.0, max(0.0, square.value))
            rect = f'x="{x:.0f}" y="{y}" width="{wide - 2:.0f}" height="{LINE - 2}"'
            parts.append(
                f'<rect class="box" {rect}/><rect class="heat" {rect} fill-opacity="{share:.3f}">{title}</rect>'
            )
            parts.append(
                _text(x + wide / 2, y + 16, f"{100 * square.value:+.0f}", "middle", "over" if share > 0.5 else "")
            )
    return _picture(left + wide * len(columns) + 4, TOP + LINE * len(rows) + 6, parts, what)


def forest(rows: Sequence[ForestRow], what: str) -> str:
    """Differences with their intervals, and a line at zero."""
    left, wide = _width([row.name for row in rows]), 420.0
    ends = [abs(end) for row in rows for end in (row.interval.low, row.interval.high)]
    most = max([0.05, *ends]) * 1.05

    def across(value: float) -> float:
        return left + wide * (value + most) / (2 * most)

    height = TOP + LINE * len(rows)
    parts = [f'<path class="axis" d="M{across(0):.1f} {TOP - 6}V{height}"/>']
    for tick in (-most, -most / 2, 0.0, most / 2, most):
        parts.append(_text(across(tick), height + 18, f"{100 * tick:+.0f}", "middle"))
    for number, row in enumerate(rows):
        y = TOP + LINE * number + 12
        value, low, high = (across(end) for end in row.interval)
        parts.append(_text(left - 8, y + 4, row.name, "end"))
        parts.append(f'<path class="line" d="M{low:.1f} {y}H{high:.1f}"/>')
        parts.append(f'<circle class="dot" cx="{value:.1f}" cy="{y}" r="4"><title>{escape(row.name)}</title></circle>')
    return _picture(left + wide + 40, height + 26, parts, what)


def scatter(dots: Sequence[Dot], x_name: str, y_name: str, what: str) -> str:
    """Points with their names; both axes from the smallest to the largest value."""
    width, height, left = 620.0, 320.0, 64.0
    xs, ys = ([getattr(dot, axis) for dot in dots] for axis in ("x", "y"))
    x0, x1, y0, y1 = min(xs), max(xs), min(ys), max(ys)

    def place(dot: Dot) -> tuple[float, float]:
        across = (dot.x - x0) / (x1 - x0) if x1 > x0 else 0.5
        up = (dot.y - y0) / (y1 - y0) if y1 > y0 else 0.5
        return left + 20 + (width - left - 160) * across, height - 50 - (height - 90) * up

    parts = [f'<path class="axis" d="M{left} 20V{height - 36}H{width - 20}"/>']
    parts += [_text(left - 6, height - 46, f"{y0:.1f}", "end"), _text(left - 6, 44, f"{y1:.1f}", "end")]
    parts += [
        _text(left + 20, height - 20, f"{x0:.3g}", "middle"),
        _text(width - 140, height - 20, f"{x1:.3g}", "middle"),
    ]
    parts += [_text(width / 2, height - 6, x_name, "middle"), _text(left, 14, y_name, "start")]
    for dot in dots:
        x, y = place(dot)
        parts.append(f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="4"/>')
        parts.append(_text(x + 8, y + 4, dot.name, "start"))
    return _picture(width, height, parts, what)


def lines(series: Sequence[Series], x_name: str, what: str) -> str:
    """Shares over a quantity, with bands of intervals."""
    width, height, left, bottom = 620.0, 300.0, 56.0, 250.0
    xs = sorted({point[0] for each in series for point in each.points})
    span = (xs[-1] - xs[0]) or 1.0

    def place(x: float, share: float) -> tuple[float, float]:
        return left + (width - left - 150) * (x - xs[0]) / span, bottom - (bottom - 30) * share

    parts = [f'<path class="axis" d="M{left} 24V{bottom}H{width - 140}"/>']
    parts += [_text(left - 6, place(xs[0], s)[1] + 4, f"{100 * s:.0f}", "end") for s in (0.0, 0.5, 1.0)]
    parts += [_text(place(x, 0)[0], bottom + 18, f"{x:g}", "middle") for x in xs]
    parts.append(_text((left + width - 150) / 2, bottom + 38, x_name, "middle"))
    for number, each in enumerate(series):
        upper = [place(x, high) for x, _, _, high in each.points]
        lower = [place(x, low) for x, _, low, _ in reversed(each.points)]
        middle = [place(x, value) for x, value, _, _ in each.points]
        parts.append(f'<polygon class="band c{number % 4}" points="{_points([*upper, *lower])}"/>')
        parts.append(f'<polyline class="curve c{number % 4}" points="{_points(middle)}"/>')
        parts += [f'<circle class="c{number % 4} mark" cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in middle]
        parts.append(_text(middle[-1][0] + 8, middle[-1][1] + 4 + 12 * (number % 2), each.name, "start"))
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


def _width(names: Sequence[str]) -> float:
    return 20 + CHAR * max([4, *map(len, names)])


def _points(places: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)


def _text(x: float, y: float, text: str, anchor: str, kind: str = "") -> str:
    mark = f' class="{kind}"' if kind else ""
    return f'<text{mark} x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _picture(width: float, height: float, parts: Sequence[str], what: str) -> str:
    size = f'viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" height="{height:.0f}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{escape(what)}">{"".join(parts)}</svg>'
    )
