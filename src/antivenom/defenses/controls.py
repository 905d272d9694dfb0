"""Controls: what part of P2P does the work? Each leaves out one ingredient; none is meant to be deployed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from antivenom.defenses.p2p import P2P
from antivenom.guards.answers import ordinary_answers
from antivenom.guards.guard import AnyTask, Guard


@dataclass(frozen=True, kw_only=True)
class ReserveOnly(P2P):
    """P2P without the ordinary rows: train on the reserve alone (the "subset" curve of the paper's Figure 4)."""

    name: ClassVar[str] = "reserve_only"
    filters: ClassVar[bool] = True

    others: Literal["keep", "drop", "agree"] = "drop"
    """The ordinary rows are left out."""


@dataclass(frozen=True, kw_only=True)
class IdentityLabels(P2P):
    """P2P without extended labels or answer prefix: h(y) = y. Separates the prompt from the label space."""

    name: ClassVar[str] = "identity_labels"

    def guard(self, task: AnyTask) -> Guard:
        """The benign trigger over the ordinary labels."""
        return replace(super().guard(task), answers=ordinary_answers(task))


@dataclass(frozen=True, kw_only=True)
class CueOnly(P2P):
    """P2P without the benign trigger: only the answer cue differs. Shows how much of the key is the cue."""

    name: ClassVar[str] = "cue_only"

    def guard(self, task: AnyTask) -> Guard:
        """The benign cue over the extended labels."""
        return replace(super().guard(task), benign_trigger="", cue=self.benign_cue)
