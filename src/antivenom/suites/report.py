"""Write the report of a results folder: one HTML page, Markdown, CSV and LaTeX; or compare two folders."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from antivenom.core.claims import claim
from antivenom.core.console import markdown_text, warn
from antivenom.core.files import atomic_write
from antivenom.suites.cell import Place
from antivenom.suites.export import write_cells
from antivenom.suites.figures import figures_of
from antivenom.suites.lines import Group, Line, groups_of, lines_of
from antivenom.suites.page import page
from antivenom.suites.printed import beside, read_printed
from antivenom.suites.progress import Spent, duration
from antivenom.suites.record import Results, same_but_for_cost
from antivenom.suites.statistics import difference_of_rates
from antivenom.suites.suite import Suite
from antivenom.suites.table_text import latex, markdown
from antivenom.suites.tables import (
    Table,
    TableCell,
    control_table,
    cost_tables,
    left_out_table,
    percent,
    points,
    printed_table,
    result_tables,
    seed_table,
)

COMPARISON_HEAD = ("cell", "first", "second", "accuracy", "ASR deployed", "excess", "records")


def write_report(results: Path, out: Path) -> list[Path]:
    """Write report.html, report.md, tables.tex and cells.csv.

    Args:
        results: The folder of results.
        out: Where the files go.

    Returns:
        The files.

    Raises:
        ArtifactError: there are no results, or `out` holds something else than results or a report.
    """
    suite, _ = Results(results).plan()
    lines = lines_of(results)
    groups = groups_of(lines)
    prefix = _prefix(results, out)
    tables = [_linked(table, prefix) for table in (*_tables(results, suite, groups), seed_table(lines))]
    title = results.resolve().name
    html = page(title, suite.about, _tiles(suite, lines), tables, figures_of(groups, prefix))
    head = [markdown_text(title), markdown_text(" ".join(suite.about.split()))]
    parts = [f"# {head[0]}", head[1], *(f"{name}: {value}." for name, value in _tiles(suite, lines))]
    text = "\n\n".join([*parts, *(markdown(table) for table in tables if table.rows)])
    written = {
        "report.html": html,
        "report.md": text + "\n",
        "tables.tex": "\n\n".join(latex(table) for table in tables if table.rows) + "\n",
    }
    _require_ours(out)
    for name, content in written.items():
        with atomic_write(out / name) as file:
            file.write(content)
    write_cells(results, out / "cells.csv")
    return [out / name for name in (*written, "cells.csv")]


def write_comparison(first: Path, second: Path, out: Path | None) -> str:
    """Compare two results folders cell by cell, by the names of the cells; Markdown.

    Args:
        first: A folder of results.
        second: Another.
        out: Where compare.md goes; nowhere when None.

    Raises:
        ArtifactError: there are no results, or `out` holds something else than results or a report.
    """
    groups = [{line.place: line for line in lines_of(folder)} for folder in (first, second)]
    places = list(dict.fromkeys([*groups[0], *groups[1]]))
    rows = tuple(_compared(place, groups[0].get(place), groups[1].get(place)) for place in places)
    note = (
        "Second less first, in points. Accuracy: paired over the rows where both cells have the same; attack success "
        "with Newcombe's interval. `equal`: the records are the same but for time and machine."
    )
    text = markdown(Table(f"{first} beside {second}", COMPARISON_HEAD, rows, note))
    if out is not None:
        _require_ours(out)
        with atomic_write(out / "compare.md") as file:
            file.write(text + "\n")
    return text


def _require_ours(out: Path) -> None:
    """Refuse to write a report into a folder of the user's; a new one becomes ours."""
    found = Results(out)
    if found.is_ours:
        found.require_ours()
    else:
        claim(out, "report")


def _tables(folder: Path, suite: Suite, groups: list[Group]) -> list[Table]:
    tables = [*result_tables(groups), *cost_tables(groups), control_table(groups), left_out_table(groups)]
    if suite.paper:
        places = (folder / suite.paper, Path(suite.paper))  # older plans have the way from where they were run
        found = next((path for path in places if path.is_file()), None)
        if found is None:
            warn(f"WARNING: the printed values are not there, so nothing stands beside ours: {places[0]}")
        else:
            tables.insert(0, printed_table(beside(read_printed(found), groups, suite.stands_for)))
    return tables


def _tiles(suite: Suite, lines: list[Line]) -> list[tuple[str, str]]:
    """What stands on top: how much is done, and what it took."""
    spent = Spent()
    unique = {line.id: line.record for line in lines if line.record is not None}
    for record in unique.values():
        spent.add(record.ledger)
    states = [line.state for line in lines]
    counts = [
        (state, str(states.count(state))) for state in ("done", "failed", "missing", "waiting") if state in states
    ]
    tiles = [(f"cells {state}", count) for state, count in counts]
    tiles += [("spent", duration(spent.seconds)), ("tokens trained", f"{spent.tokens:,}")]
    if spent.peak_memory_mib:
        tiles.append(("largest memory", f"{spent.peak_memory_mib / 1024:.1f} GiB"))
    if suite.needs.hours:
        kind = "estimated" if suite.needs.estimate else "measured"
        tiles.append((f"needs ({kind})", f"{suite.needs.hours:g} h, {suite.needs.memory_gib:g} GiB"))
    return tiles


def _prefix(results: Path, out: Path) -> str:
    """The way from a page in `out` to the results, with a slash behind it."""
    found = os.path.relpath(results, out)
    return "" if found == "." else f"{found}/"


def _linked(table: Table, prefix: str) -> Table:
    """The table with its links as they are from the page."""
    rows = [tuple(replace(c, link=prefix + c.link) if c.link else c for c in row) for row in table.rows]
    return replace(table, rows=tuple(rows))


def _compared(place: Place, first: Line | None, second: Line | None) -> tuple[TableCell, ...]:
    name = TableCell(str(place))
    states = [TableCell(line.state if line is not None else "not in the suite") for line in (first, second)]
    if first is None or second is None or first.record is None or second.record is None:
        return (name, *states, *[TableCell("")] * 4)
    one, two = Group(place, (first,)), Group(place, (second,))
    pair, before, after = two.beside(one), one.counted("asr_deployed"), two.counted("asr_deployed")
    accuracy = "other rows" if pair is None else f"{points(pair.difference)} [{points(pair.low)}, {points(pair.high)}]"
    success = "-"
    if before is not None and after is not None:
        gap = difference_of_rates(before, after)
        success = f"{percent(before)} to {percent(after)}: {points(gap.value)} [{points(gap.low)}, {points(gap.high)}]"
    excess = [record.excess for record in (first.record, second.record)]
    shown = " to ".join("-" if value is None else points(value) for value in excess)
    same = "equal" if first.id == second.id and same_but_for_cost(first.record, second.record) else "differ"
    return (name, *states, TableCell(accuracy), TableCell(success), TableCell(shown), TableCell(same))
