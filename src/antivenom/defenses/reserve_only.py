"""A control: P2P without the ordinary rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from antivenom.defenses.p2p import P2P


@dataclass(frozen=True, kw_only=True)
class ReserveOnly(P2P):
    """P2P without the ordinary rows: train on the reserve alone (the "subset" curve of the paper's Figure 4)."""

    name: ClassVar[str] = "reserve_only"
    filters: ClassVar[bool] = True

    others: Literal["keep", "drop"] = "drop"
    """The ordinary rows are left out."""
