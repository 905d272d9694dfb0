"""StyleBkd (Qi et al., 2021): a writing style is the trigger."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from antivenom.attacks.from_file import FromFile


@dataclass(frozen=True, kw_only=True)
class StyleBkd(FromFile):
    """Replace the text by its version in another style (biblical, poetic, ...) that a model made elsewhere."""

    name: ClassVar[str] = "stylebkd"

    rate: float = 0.2
    """Share of the original rows that are poisoned (StyleBkd: 20 %)."""
