"""Values that others printed, beside ours: better, same or worse by the interval of the difference."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from antivenom.core.errors import RowsError
from antivenom.core.intake import read_text
from antivenom.core.options import Options
from antivenom.suites.cell import Place
from antivenom.suites.lines import Group
from antivenom.suites.statistics import Counted, Difference, Verdict, difference_of_rates

COLUMNS = ("task", "model", "attack", "defense", "reading", "value", "rows", "note")
AXES = ("task", "model", "attack", "defense")
UNDEFENDED = "undefended"
LOWER_IS_BETTER = ("asr", "asr_deployed")


@dataclass(frozen=True)
class Printed(Options):
    """One value of a table or figure."""

    task: str
    model: str
    attack: str
    defense: str
    reading: str
    """`accuracy`, `asr`, or a graded score by its name."""
    value: float
    """Percent."""
    rows: int
    """How many test rows it is over; 0 where nobody says."""
    note: str
    """How it was had: `read off the figure`, say."""

    def fits(self, place: Place, stands_for: Mapping[str, Sequence[str]]) -> bool:
        """Whether it is about this place, or one that the place stands for; an empty name fits every one."""
        axes = (getattr(place, axis) for axis in AXES)
        same = all(own in ("", other, *stands_for.get(other, ())) for own, other in zip(self.names, axes, strict=True))
        return same and not place.control

    @property
    def names(self) -> tuple[str, ...]:
        """The printed names of the task, the model, the attack and the defense."""
        return tuple(getattr(self, axis) for axis in AXES)


@dataclass(frozen=True)
class Beside:
    """A printed value, and ours."""

    printed: Printed
    group: Group | None
    ours: Counted | None
    difference: Difference | None
    """Ours less the printed one; none where either has no rows."""
    verdict: Verdict | None
    """None too for the attack success of undefended models."""


def read_printed(path: Path) -> list[Printed]:
    """Read a CSV file of printed values.

    Raises:
        RowsError: a column is missing, or a value is no number.
    """
    reader = csv.DictReader(StringIO(read_text(path, error=RowsError)))
    if reader.fieldnames is None or tuple(reader.fieldnames) != COLUMNS:
        raise RowsError(f"{path}: its columns are {reader.fieldnames}", mend=f"They must be: {', '.join(COLUMNS)}.")
    found = []
    for number, line in enumerate(reader, 2):
        try:
            value, rows = float(line["value"]), int(line["rows"] or 0)
        except (TypeError, ValueError):
            raise RowsError(f"{path}, line {number}: value or rows is no number") from None
        words = {name: line[name] or "" for name in (*COLUMNS[:5], "note")}
        found.append(Printed.from_dict({**words, "value": value, "rows": rows}))
    return found


def beside(
    printed: Sequence[Printed], groups: Sequence[Group], stands_for: Mapping[str, Sequence[str]]
) -> list[Beside]:
    """Put our numbers beside printed ones: a line for each cell of ours, or one alone where there is none.

    Args:
        printed: The values.
        groups: Ours.
        stands_for: Names of ours, and the printed names that they stand beside.
    """
    found = []
    for value in printed:
        fitting: list[Group | None] = [each for each in groups if value.fits(each.place, stands_for)]
        found += [_beside(value, group) for group in fitting or [None]]
    return found


def _beside(value: Printed, group: Group | None) -> Beside:
    ours = group.counted(value.reading) if group is not None and group.records else None
    if ours is None or not value.rows:
        return Beside(value, group, ours, None, None)
    theirs = Counted(value.value / 100 * value.rows, value.rows)
    difference = difference_of_rates(theirs, ours)
    lower = value.reading in LOWER_IS_BETTER
    if lower and value.defense == UNDEFENDED:  # an attack that takes less is nobody's merit
        return Beside(value, group, ours, difference, None)
    return Beside(value, group, ours, difference, difference.verdict(lower_is_better=lower))
