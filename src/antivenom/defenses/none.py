"""No defense: what everybody does today, and the baseline of every comparison."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from antivenom.defenses.base import Defense


@dataclass(frozen=True, kw_only=True)
class NoDefense(Defense):
    """Train on the rows as they are. Trusted rows that are not among them are added, so that a comparison is fair."""

    name: ClassVar[str] = "none"
    stages = ()
