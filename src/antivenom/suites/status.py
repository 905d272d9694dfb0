"""What is done, failed, missing and left to do in a results folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from antivenom.core.options import Options
from antivenom.suites.lines import lines_of
from antivenom.suites.progress import Spent


@dataclass(frozen=True)
class Status(Options):
    """Counts and reasons."""

    done: int
    waiting: int
    failed: dict[str, str]
    """Why, by name."""
    missing: dict[str, str]
    spent: str

    def lines(self) -> list[list[str]]:
        """State, cells, what."""
        rows = [["done", str(self.done), self.spent], ["waiting", str(self.waiting), ""]]
        for state, reasons in (("failed", self.failed), ("missing", self.missing)):
            for why in dict.fromkeys(reasons.values()):
                names = [name for name, reason in reasons.items() if reason == why]
                rows.append([state, str(len(names)), f"{names[0]}{' and others' * (len(names) > 1)}: {why}"])
        return rows


def status_of(folder: Path) -> Status:
    """Look at every cell of the grid.

    Raises:
        ArtifactError: there are no results.
    """
    lines, spent = lines_of(folder), Spent()
    for record in {line.id: line.record for line in lines if line.record is not None}.values():
        spent.add(record.ledger)
    reasons = {
        state: {str(line.place): line.why for line in lines if line.state == state} for state in ("failed", "missing")
    }
    states = [line.state for line in lines]
    return Status(states.count("done"), states.count("waiting"), reasons["failed"], reasons["missing"], str(spent))
