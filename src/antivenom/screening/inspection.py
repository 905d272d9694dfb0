"""What `antivenom inspect` does: look for what seems planted, and say of every row that shows it why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from antivenom.data.sampling import label_codes
from antivenom.guards.secret import draw_seed
from antivenom.screening.association import Association
from antivenom.screening.evidence import Evidence, PlantedFeature, evidence_of
from antivenom.screening.outputs import label_outputs
from antivenom.screening.parts import Parts, count_parts
from antivenom.screening.screen import screen
from antivenom.screening.sources import InMemory, Source


@dataclass(frozen=True)
class SuspectRow:
    """A row that shows a finding and has its output."""

    row: int
    """Its number in the source, from 1."""
    text: str
    """What it says."""
    answer: str
    """The label or the answer that it came with."""
    reason: str
    """The findings that it shows, and how far each is contradicted."""


@dataclass(frozen=True)
class Inspection:
    """What seems planted, and every row that shows it."""

    evidence: Evidence
    suspects: tuple[SuspectRow, ...]
    """All of them, in the order of their numbers."""
    seed: int
    """Decides between equals and chooses the examples; the same seed gives the same inspection."""

    @property
    def findings(self) -> tuple[PlantedFeature, ...]:
        """The alarms, the strongest first."""
        return self.evidence.findings

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values: of each feature all rows that show it, and of each suspect row its text and the reason."""
        features = {name: [asdict(one) for one in getattr(self.evidence, name)] for name in ("findings", "look_at")}
        return {
            **self.evidence.to_dict(),
            **features,
            "leads": [asdict(one) for one in self.evidence.leads],
            "suspects": [asdict(one) for one in self.suspects],
            "seed": self.seed,
        }

    def __str__(self) -> str:
        """A table for people."""
        more = f" All {len(self.suspects)} suspect rows: --json." if self.suspects else ""
        return f"{self.evidence}\nSeed: {self.seed}.{more}"


def inspect(table: pa.Table, labels: Sequence[str] | None, *, seed: int | None = None) -> Inspection:
    """Look for what seems planted in rows: evidence for people, not a filter.

    Args:
        table: `row`, `text`, `answer`.
        labels: The labels, every answer being one of them; None when the answers are free text, where there are only
            leads.
        seed: Decides between equals and chooses the examples; drawn at random when not given, so that nobody who
            plants rows can know it.

    Returns:
        The findings, and every row that shows one with its text and the reason.
    """
    seed = draw_seed() if seed is None else seed
    association = screen(table, labels, seed=seed).association
    return inspect_counts(InMemory(table, association, seed), association, seed)


def inspect_parts(parts: Parts, rows: pa.Table, labels: Sequence[str], *, seed: int | None = None) -> Inspection:
    """The same, of rows of which never more than a part is in one memory.

    Args:
        parts: The rows.
        rows: `row` and `answer` of all of them.
        labels: The labels.
        seed: See `inspect`.
    """
    seed = draw_seed() if seed is None else seed
    outputs = label_outputs(label_codes(rows, labels), labels)
    source, association = count_parts(parts, outputs, rows.column("row").to_numpy(), seed=seed)
    return inspect_counts(source, association, seed)


def inspect_counts(source: Source, association: Association, seed: int) -> Inspection:
    """The same, of rows that were counted (`sources.py`, `association.py`)."""
    evidence = evidence_of(source, association)
    return Inspection(evidence, _suspects(source, evidence), seed)


def _suspects(source: Source, evidence: Evidence) -> tuple[SuspectRow, ...]:
    """Every suspect row with all findings that it shows."""
    reasons: dict[int, list[str]] = {}
    for finding in evidence.findings:
        why = (
            f"{finding.what!r} ({finding.kind}) stands in {finding.rows} rows, {finding.rows_of_output} of them "
            f"{finding.output!r}, and the other words of these speak against it ({finding.contradiction:.1f} standard "
            "deviations)"
        )
        for number in finding.affected:
            reasons.setdefault(number, []).append(why)
    rows = source.take(np.flatnonzero(np.isin(source.numbers, np.array(list(reasons), dtype=np.int64))))
    columns = (rows.column(name).to_pylist() for name in ("row", "text", "answer"))
    found = (SuspectRow(n, text, answer, "; ".join(reasons[n])) for n, text, answer in zip(*columns, strict=True))
    return tuple(sorted(found, key=lambda one: one.row))
