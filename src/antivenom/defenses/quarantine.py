"""Quarantine: rows that show what looks planted are left out before another defense sees them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from antivenom.core.report import Report
from antivenom.defenses.base import Defense, Prepared
from antivenom.guards.guard import AnyTask
from antivenom.screening.evidence import find_evidence
from antivenom.screening.subword_splits import WordPieces, uncut


@dataclass(frozen=True, kw_only=True)
class Quarantine(Defense):
    """Leave out the rows that show a finding of `antivenom inspect`, then defend the rest with another defense.

    Honest rows give few findings or none, so where nothing is planted this costs next to nothing. A trigger that gives
    no finding passes: that is what the inner defense is for. Trusted rows are never left out.

    An inner defense that leaves rows out itself (`standard`) is better off alone: it judges rows by what the planted
    ones have in common, and names it, and of those it then sees only what gave no finding.
    """

    name: ClassVar[str] = "quarantine"
    filters: ClassVar[bool] = True

    inner: str = "none"
    """The defense for the rest, as name:option=value;option=value; for instance `p2p:reserve=screened`."""

    def prepare(
        self, task: AnyTask, train: pa.Table, *, trusted: pa.Table | None, seed: int, word_pieces: WordPieces = uncut
    ) -> Prepared:
        """Filter and hand on; the facts say how many rows were left out, and why."""
        evidence = find_evidence(train, task.classes, word_pieces, seed=seed)
        suspects = pa.array(evidence.suspects, pa.int64())
        kept = train.filter(pc.invert(pc.is_in(train.column("row"), value_set=suspects)))
        prepared = self._defense().prepare(task, kept, trusted=trusted, seed=seed, word_pieces=word_pieces)
        facts = {"quarantined": train.num_rows - kept.num_rows, "quarantine_findings": evidence.to_dict()["findings"]}
        return prepared.noting(facts, chosen_from=train.num_rows)

    def public_dict(self) -> dict[str, Any]:
        """Without the secrets of the inner defense."""
        return {**super().public_dict(), "inner": str(self._defense())}

    def check(self, task: AnyTask, train: pa.Table, report: Report) -> None:
        """What stands against the inner defense, and against having one that leaves rows out itself."""
        inner = self._defense()
        if inner.filters:
            report.note(f"{self.name} in front of {inner.name} takes away what {inner.name} learns from; use it alone")
        inner.check(task, train, report)

    def _defense(self) -> Defense:
        from antivenom.defenses import parse_defense

        return parse_defense(self.inner)
