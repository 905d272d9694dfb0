"""The pictures of docs/science.md, drawn as SVG from the records: no library, no number typed."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

WIDTH, LEFT, RIGHT, LINE, TOP, BOTTOM = 760, 290, 40, 38, 56, 34
UNDEFENDED, DEFENDED, QUIET, INK = "#c0392b", "#1f77b4", "#9aa0a6", "#202124"
TEXT = 'font-family="system-ui, sans-serif" font-size="13"'


class Bar(NamedTuple):
    """One attack: shares between 0 and 1; None where it was not run."""

    title: str
    undefended: float | None
    defended: float | None
    floor: float | None
    """Of the defended model."""


class Point(NamedTuple):
    """One fit: how much poison, and what came of it; shares between 0 and 1."""

    dose: float
    success: float
    low: float
    high: float
    floor: float


def bars(rows: Sequence[Bar]) -> str:
    """Attack success, undefended above defended, with a tick at the floor."""
    height = TOP + LINE * len(rows) + BOTTOM
    parts = [_legend("undefended", UNDEFENDED, 20), _legend("with standard", DEFENDED, 140)]
    parts.append(f'<path d="M283 22v14" stroke="{INK}" stroke-width="2"/>')
    parts.append(_text(292, 34, "floor: the same rows without the trigger"))
    for share in (0, 0.25, 0.5, 0.75, 1):
        x = _across(share)
        parts.append(f'<path d="M{x:.1f} {TOP - 6}V{height - BOTTOM}" stroke="{QUIET}" stroke-width="0.5"/>')
        parts.append(_text(x, height - 12, f"{share:.0%}", anchor="middle"))
    for number, row in enumerate(rows):
        y = TOP + LINE * number
        parts.append(_text(LEFT - 10, y + 20, row.title, anchor="end"))
        parts += [_bar(row.undefended, y + 3, UNDEFENDED), _bar(row.defended, y + 16, DEFENDED)]
        if row.floor is not None:
            parts.append(f'<path d="M{_across(row.floor):.1f} {y + 13}v17" stroke="{INK}" stroke-width="2"/>')
    return _picture(height, parts, "Attack success by attack, undefended and with standard")


def curve(points: Sequence[Point], *, below: str) -> str:
    """Attack success over the dose, with 95 % intervals, and the floors."""
    height, bottom, most = 320, 270, max(point.dose for point in points) or 1.0

    def place(dose: float, share: float) -> tuple[float, float]:
        return 70 + (WIDTH - 110) * dose / most, bottom - (bottom - TOP) * share

    parts = [_legend("attack success (95 % interval)", UNDEFENDED, 70), _legend("floor", QUIET, 320)]
    for share in (0, 0.25, 0.5, 0.75, 1):
        y = place(0, share)[1]
        parts.append(f'<path d="M70 {y:.1f}H{WIDTH - 40}" stroke="{QUIET}" stroke-width="0.5"/>')
        parts.append(_text(60, y + 4, f"{share:.0%}", anchor="end"))
    for color, line in (
        (QUIET, [(p.dose, p.floor) for p in points]),
        (UNDEFENDED, [(p.dose, p.success) for p in points]),
    ):
        path = " ".join("{:.1f},{:.1f}".format(*place(*point)) for point in line)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>')
    for point in points:
        x, low = place(point.dose, point.low)
        parts.append(f'<path d="M{x:.1f} {low:.1f}V{place(0, point.high)[1]:.1f}" stroke="{UNDEFENDED}"/>')
        parts.append(f'<circle cx="{x:.1f}" cy="{place(0, point.success)[1]:.1f}" r="4" fill="{UNDEFENDED}"/>')
        parts.append(_text(x, bottom + 18, f"{point.dose:g}", anchor="middle"))
    parts.append(_text(WIDTH / 2, height - 8, below, anchor="middle"))
    return _picture(height, parts, f"Attack success by {below}")


def _across(share: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * share


def _bar(share: float | None, y: float, color: str) -> str:
    if share is None:
        return _text(LEFT + 4, y + 10, "not run", color=QUIET)
    return f'<rect x="{LEFT}" y="{y}" width="{_across(share) - LEFT:.1f}" height="11" fill="{color}"/>'


def _legend(title: str, color: str, x: float) -> str:
    return f'<rect x="{x}" y="24" width="12" height="11" fill="{color}"/>' + _text(x + 18, 34, title)


def _text(x: float, y: float, text: str, *, anchor: str = "start", color: str = INK) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {TEXT} fill="{color}" text-anchor="{anchor}">{escape(text)}</text>'


def _picture(height: int, parts: Sequence[str], title: str) -> str:
    box = f'xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    background = f'<rect width="{WIDTH}" height="{height}" fill="white"/>'
    return "\n".join([f'<svg {box} role="img">', f"<title>{escape(title)}</title>", background, *parts, "</svg>", ""])
