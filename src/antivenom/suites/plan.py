"""The cells of a grid by what decides them, and those that there cannot be yet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from antivenom.core.errors import AntivenomError
from antivenom.core.options import Options
from antivenom.suites.cell import Cell, Place, grid
from antivenom.suites.identity import identify
from antivenom.suites.methods import Methods
from antivenom.suites.suite import Suite


@dataclass(frozen=True)
class Planned(Options):
    """A cell of the grid, or the reason why there can be none."""

    place: Place
    id: str
    """Empty where the cell is missing."""
    missing: str = ""
    """Why: a method that does not exist, a file that is not there."""


def plan(suite: Suite, methods: Methods, data: Path) -> tuple[list[Planned], dict[str, Cell]]:
    """Name every cell by what decides it.

    Args:
        suite: The grid.
        methods: What its specs name.
        data: The folder of the data sets.

    Returns:
        The cells of the grid in order, and what each of those that can be run is.
    """
    planned, cells = [], {}
    for place, cell in grid(suite, methods):
        try:
            key = identify(cell, methods, data)
        except AntivenomError as error:
            planned.append(Planned(place, "", error.what))
            continue
        planned.append(Planned(place, key))
        cells[key] = cell
    return planned, cells
