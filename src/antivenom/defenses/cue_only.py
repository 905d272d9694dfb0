"""A control: P2P without the benign trigger: only the answer cue differs. Shows how much of the key is the cue."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from antivenom.defenses.p2p import P2P
from antivenom.guards.guard import AnyTask, Guard


@dataclass(frozen=True, kw_only=True)
class CueOnly(P2P):
    """P2P without the benign trigger: only the answer cue differs. Shows how much of the key is the cue."""

    name: ClassVar[str] = "cue_only"

    def guard(self, task: AnyTask) -> Guard:
        """The benign cue over the extended labels."""
        return replace(super().guard(task), benign_trigger="", cue=self.benign_cue)
