"""The report as one HTML page: nothing from the network, light and dark."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from antivenom.core.console import html_text
from antivenom.suites.figures import Figure
from antivenom.suites.tables import Table, TableCell

STYLE = """
:root { color-scheme: light dark; --ink: #1d2126; --paper: #ffffff; --soft: #5d6670; --edge: #d5dae0; --wash: #f4f6f8;
  --heat: #c0392b; --main: #1f6fb2; --good: #1a7f37; --bad: #b42318; --c1: #c0392b; --c2: #7a5ea8; --c3: #997a00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ed; --paper: #15181c; --soft: #9aa4af; --edge: #343b43;
  --wash: #1d2127; --heat: #e5604f; --main: #5aa7e6; --good: #4cc26a; --bad: #ff7b6e; --c1: #ff7b6e; --c2: #b9a1e0;
  --c3: #d8b93f; } }
* { box-sizing: border-box } body { margin: 0 auto; max-width: 1360px; padding: 24px 20px 80px; color: var(--ink);
  background: var(--paper); font: 15px/1.5 system-ui, sans-serif; } h1 { font-size: 1.6rem; margin: .2em 0 }
h2 { font-size: 1.2rem; margin: 2em 0 .5em } p, li { max-width: 75ch }
.soft, .note { color: var(--soft); font-size: .9em }
nav a { margin-right: 1.2em; white-space: nowrap }
a { color: var(--main) } .wide { overflow-x: auto; border: 1px solid var(--edge);
  border-radius: 6px } table { border-collapse: collapse; font-size: .84em; font-variant-numeric: tabular-nums;
  width: 100% } th, td { padding: 4px 6px; text-align: right; border-bottom: 1px solid var(--edge);
  white-space: nowrap } th { background: var(--wash); font-weight: 600; white-space: normal; vertical-align: bottom }
tbody tr:last-child td { border-bottom: 0 }
.l { text-align: left } .missing { color: var(--soft); font-style: italic; white-space: normal; text-align: left }
.better, .erased { color: var(--good) } .worse, .persistent, .invalid { color: var(--bad); font-weight: 600 }
.rerouted, .partial { color: var(--c3) } .does-not-take { color: var(--soft) }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; margin: 16px 0 }
.tile { border: 1px solid var(--edge); border-radius: 6px; padding: 10px 14px } .tile b { display: block;
  font-size: 1.3rem } svg { max-width: 100%; height: auto; font: 12px system-ui, sans-serif }
svg text { fill: var(--ink) }
svg text.over { fill: #fff } svg .box { fill: var(--wash) } svg .heat { fill: var(--heat) }
svg .none { fill: none; stroke: var(--edge); stroke-dasharray: 3 3 } svg .axis { fill: none; stroke: var(--soft) }
svg .grid { fill: none; stroke: var(--edge) } svg text.t1 { fill: var(--c1) } svg text.t0 { fill: var(--main) }
svg .line { stroke: var(--main); stroke-width: 2 } svg .dot, svg .bar { fill: var(--main) }
svg .curve { fill: none; stroke-width: 2 } svg .band { opacity: .18 } svg .c0 { stroke: var(--main) }
svg .band.c0, svg .mark.c0 { fill: var(--main) } svg .c1 { stroke: var(--c1) } svg .band.c1, svg .mark.c1 {
  fill: var(--c1) } svg .band { stroke: none } figure { margin: 1em 0; overflow-x: auto }
figcaption { font-weight: 600; margin-bottom: .4em }
"""


def page(
    title: str, about: str, tiles: Sequence[tuple[str, str]], tables: Sequence[Table], figures: Sequence[Figure]
) -> str:
    """The whole page.

    Args:
        title: What the page is called.
        about: One paragraph.
        tiles: Figures that stand on top, with what they are.
        tables: In order.
        figures: In order.
    """
    shown = [table for table in tables if table.rows]
    links = "".join(f'<a href="#t{i}">{html_text(table.title)}</a> ' for i, table in enumerate(shown))
    top = "".join(f'<div class="tile"><b>{html_text(value)}</b>{html_text(name)}</div>' for name, value in tiles)
    body = "".join(_table(table, f"t{i}") for i, table in enumerate(shown))
    drawn = "".join(f"<figure><figcaption>{html_text(f.title)}</figcaption>{f.svg}</figure>" for f in figures)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html_text(title)}</title><style>{STYLE}</style></head><body>"
        f'<h1>{html_text(title)}</h1><p class="soft">{html_text(about)}</p><div class="tiles">{top}</div>'
        f'<nav>{links}<a href="#figures">Figures</a></nav>{body}<h2 id="figures">Figures</h2>{drawn}</body></html>\n'
    )


def _table(table: Table, anchor: str) -> str:
    head = "".join(f'<th{_left(i, table)} scope="col">{html_text(name)}</th>' for i, name in enumerate(table.head))
    rows = "".join(f"<tr>{''.join(_cells(row, table))}</tr>" for row in table.rows)
    note = f'<p class="note">{html_text(table.note)}</p>' if table.note else ""
    grid = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    shown = f'<div class="wide">{grid}</div>{note}'
    if table.folded:
        shown = f"<details><summary>{len(table.rows)} rows</summary>{shown}</details>"
    return f'<h2 id="{anchor}">{html_text(table.title)}</h2>{shown}'


def _cells(row: Sequence[TableCell], table: Table) -> Iterator[str]:
    """The cells of a row; what is missing takes the room of the empty ones behind it."""
    for place, cell in enumerate(row):
        if cell.mark == "missing":
            rest = row[place + 1 :]
            room = next((number for number, each in enumerate(rest) if each.text), len(rest)) + 1
            yield f'<td class="missing" colspan="{room}">{html_text(cell.text)}</td>'
            yield from (_cell(each, place + room + number, table) for number, each in enumerate(rest[room - 1 :]))
            return
        yield _cell(cell, place, table)


def _cell(cell: TableCell, place: int, table: Table) -> str:
    text = html_text(cell.text)
    shown = f'<a href="{html_text(cell.link)}">{text}</a>' if cell.link else text
    kinds = " ".join(kind for kind in ("l" if place < table.left else "", cell.mark) if kind)
    return f'<td class="{kinds}">{shown}</td>' if kinds else f"<td>{shown}</td>"


def _left(place: int, table: Table) -> str:
    return ' class="l"' if place < table.left else ""
