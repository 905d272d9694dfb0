"""A control: P2P without extended labels or answer prefix, h(y) = y."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from antivenom.defenses.p2p import P2P
from antivenom.guards.answers import ordinary_answers
from antivenom.guards.guard import AnyTask, Guard


@dataclass(frozen=True, kw_only=True)
class IdentityLabels(P2P):
    """P2P without extended labels or answer prefix: h(y) = y. Separates the prompt from the label space."""

    name: ClassVar[str] = "identity_labels"

    def guard(self, task: AnyTask, seed: int) -> Guard:
        """The benign trigger over the ordinary labels."""
        return replace(super().guard(task, seed), answers=ordinary_answers(task))
