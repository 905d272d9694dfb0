"""A control: P2P without the benign trigger, with another answer cue alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from antivenom.defenses.p2p import P2P
from antivenom.guards.guard import AnyTask, Guard
from antivenom.guards.secret import Secret


@dataclass(frozen=True, kw_only=True)
class CueOnly(P2P):
    """P2P without the benign trigger: only the answer cue differs. Shows how much of the key is the cue."""

    name: ClassVar[str] = "cue_only"

    cue: Literal["shared", "split"] = "split"
    """The cue is all that is left of the key."""

    def guard(self, task: AnyTask, seed: int) -> Guard:
        """The cue of the secret over the extended labels."""
        guard = super().guard(task, seed)
        return replace(guard, secret=Secret("", guard.secret.cue))
