"""Fine-tuning on trusted rows: the control for every defense that is given any."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from antivenom.defenses.repairing import Tuning


@dataclass(frozen=True, kw_only=True)
class FineTuning(Tuning):
    """Train on all rows, and then some more on the trusted rows alone.

    P2P, PDB and others are given trusted rows; what they add has to be more than what these rows do by themselves.
    """

    name: ClassVar[str] = "fine_tuning"
    costs: ClassVar[str] = "trusted rows; `epochs` passes over them"
