"""Quarantine: rows that show what looks planted are left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from antivenom.defenses.base import Defense, Prepared, plain_rows, reasons_table
from antivenom.guards.guard import AnyTask
from antivenom.models.lab import Lab, TrainingChanges
from antivenom.screening.evidence import find_evidence


@dataclass(frozen=True, kw_only=True)
class Quarantine(Defense):
    """Leave out the rows that show a finding of `antivenom inspect`; `quarantine+p2p` defends the rest as well.

    Honest rows give few findings or none, so where nothing is planted this costs next to nothing. A trigger that gives
    no finding passes: that is what a defense behind it is for. Trusted rows are never left out.

    A defense that leaves rows out itself (`standard`) is better off alone: it judges rows by what the planted ones have
    in common, and names it, and of those it then sees only what gave no finding.
    """

    name: ClassVar[str] = "quarantine"
    filters: ClassVar[bool] = True

    def prepare(self, task: AnyTask, rows: pa.Table, *, trusted: pa.Table | None, lab: Lab) -> Prepared:
        """Leave rows out; the facts say how many, and why."""
        evidence = find_evidence(rows, task.classes, lab.word_pieces, seed=lab.seed)
        suspects = pa.array(evidence.suspects, pa.int64())
        kept = rows.filter(pc.invert(pc.is_in(rows.column("row"), value_set=suspects)))
        prepared = plain_rows(task, kept, trusted)
        facts = {
            "left_out": rows.num_rows - kept.num_rows,
            "rows": kept.num_rows,
            "findings": evidence.to_dict()["findings"],
        }
        shown = pc.is_in(rows.column("row"), value_set=suspects).to_pylist()
        reasons = reasons_table(rows, ["shows a finding of inspect" if one else "shows no finding" for one in shown])
        training = TrainingChanges(instead_of=rows.num_rows)
        return Prepared(prepared.rows, prepared.guard, facts, training, reasons)
