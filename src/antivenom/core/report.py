"""What was found in the rows: kept, fixed and refused add up to what was read; warnings are counted and shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from antivenom.core.console import printable
from antivenom.core.errors import RowsError

Severity = Literal["error", "refused", "fixed", "warning"]
SHOWN_ROWS = 5
"""Rows that are named in a line for people; JSON lists all of them."""
MOST_LISTED = 1_000_000
"""So many rows of one kind are remembered: files of any size are read in bounded memory."""


@dataclass
class Finding:
    """One kind of problem: how many rows have it, and which."""

    severity: Severity
    what: str
    count: int = 0
    rows: list[int] = field(default_factory=list)

    def add(self, numbers: Sequence[int]) -> None:
        """Count these rows and remember their numbers."""
        self.count += len(numbers)
        self.rows += list(numbers[: max(0, MOST_LISTED - len(self.rows))])

    def __str__(self) -> str:
        if not self.rows:
            return printable(self.what)
        more = ", ..." if self.count > SHOWN_ROWS else ""
        return f"{printable(self.what)}: {self.count} (row {', '.join(map(str, self.rows[:SHOWN_ROWS]))}{more})"


@dataclass
class Report:
    """The account of one source of rows: `read == kept + refused`, and `fixed` are among the kept."""

    source: str = ""
    kept: int = 0
    findings: dict[str, Finding] = field(default_factory=dict)

    @property
    def read(self) -> int:
        """All rows of the source."""
        return self.kept + self.refused

    @property
    def refused(self) -> int:
        """Rows that cannot be used."""
        return self._total("refused")

    @property
    def fixed(self) -> int:
        """Kept rows whose text was changed."""
        return self._total("fixed")

    def follow(self, other: Report, offset: int) -> None:
        """Take in the account of rows that follow these.

        Args:
            other: Their account.
            offset: What is added to the numbers of their rows.
        """
        self.kept += other.kept
        for key, finding in other.findings.items():
            own = self.findings.setdefault(key, Finding(finding.severity, finding.what))
            own.add([row + offset for row in finding.rows])
            own.count += finding.count - len(finding.rows)

    def keep(self, count: int) -> None:
        """Count rows that are kept."""
        self.kept += count

    def refuse(self, what: str, numbers: Sequence[int]) -> None:
        """Count rows that cannot be used."""
        self._add("refused", what, numbers)

    def unkeep(self, what: str, numbers: Sequence[int]) -> None:
        """Refuse rows that had been counted as kept."""
        self.kept -= len(numbers)
        self._add("refused", what, numbers)

    def fix(self, what: str, numbers: Sequence[int]) -> None:
        """Count kept rows whose text was changed."""
        self._add("fixed", what, numbers)

    def warn(self, what: str, numbers: Sequence[int]) -> None:
        """Count rows that deserve a look."""
        self._add("warning", what, numbers)

    def note(self, what: str) -> None:
        """Warn of something about the rows as a whole."""
        self.findings[f"warning:{what}"] = Finding("warning", what, count=1)

    def fail(self, what: str) -> None:
        """Note a problem of the rows as a whole that forbids training."""
        self.findings[f"error:{what}"] = Finding("error", what, count=1)

    def stop_on_errors(self, *, skip_refused: bool = False) -> None:
        """Raise if the rows cannot be trained on.

        Args:
            skip_refused: Go on without the refused rows (they stay counted in the report).

        Raises:
            RowsError: names every problem with its row numbers.
        """
        fatal = [f for f in self.findings.values() if f.severity == "error"]
        if not skip_refused:
            fatal += [f for f in self.findings.values() if f.severity == "refused"]
        if not fatal:
            return
        mend = "" if skip_refused or not self.refused else "Mend the rows, or leave them out with --skip-refused."
        raise RowsError(f"{self.source}: " + "; ".join(str(finding) for finding in fatal), mend=mend)

    def to_dict(self) -> dict[str, Any]:
        """Return the account as JSON values."""
        findings = [vars(self.findings[key]) for key in sorted(self.findings)]
        totals = {"read": self.read, "kept": self.kept, "fixed": self.fixed, "refused": self.refused}
        return {"source": self.source, **totals, "findings": findings}

    def __str__(self) -> str:
        counts = f"{self.read} rows read, {self.kept} kept ({self.fixed} fixed), {self.refused} refused"
        head = f"{printable(self.source)}: {counts}"
        return "\n".join([head, *(f"  {f.severity}: {f}" for f in self.findings.values())])

    def _add(self, severity: Severity, what: str, numbers: Sequence[int]) -> None:
        if numbers:
            self.findings.setdefault(f"{severity}:{what}", Finding(severity, what)).add(numbers)

    def _total(self, severity: Severity) -> int:
        return sum(finding.count for finding in self.findings.values() if finding.severity == severity)
