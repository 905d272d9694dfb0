"""The defenses, one file each. `defenses()` finds them."""

from __future__ import annotations

import sys
from functools import cache

from antivenom.core.registry import find_methods, from_spec
from antivenom.defenses.base import Defense, Prepared

__all__ = ["Defense", "Prepared", "defenses", "parse_defense"]


@cache
def defenses() -> dict[str, type[Defense]]:
    """Every defense by name: the files of this package and the `antivenom.defenses` entry points."""
    return find_methods(Defense, sys.modules[__name__])  # type: ignore[type-abstract]


def parse_defense(spec: str) -> Defense:
    """Build a defense from `name:option=value;...` or its JSON."""
    return from_spec(spec, defenses())
