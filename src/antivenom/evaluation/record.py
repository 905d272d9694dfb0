"""What an evaluation says: every number about one model on one set of rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from antivenom.core.options import Options
from antivenom.evaluation.metrics import AttackReadings, Average, CleanReadings
from antivenom.evaluation.text_metrics import TextAttackReadings, TextCleanReadings


@dataclass(frozen=True)
class Evaluation(Options):
    """Every number about one model on one set of rows, with what is needed to trust it."""

    clean: CleanReadings | TextCleanReadings
    attacks: tuple[AttackReadings | TextAttackReadings, ...]
    provenance: dict[str, Any]
    """Artifact, data digest, seed and versions."""
    averages: tuple[Average, ...] = ()
    """Means over triggers that were measured one by one."""
