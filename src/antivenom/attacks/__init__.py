"""The attacks, one file each. `attacks()` finds them; see docs/adding_an_attack.md."""

from __future__ import annotations

import sys
from functools import cache

from antivenom.attacks.base import Attack, Poisoned
from antivenom.core.registry import find_methods, from_spec

__all__ = ["Attack", "Poisoned", "attacks", "parse_attack"]


@cache
def attacks() -> dict[str, type[Attack]]:
    """Every attack by name: the files of this package and the `antivenom.attacks` entry points."""
    return find_methods(Attack, sys.modules[__name__])  # type: ignore[type-abstract]


def parse_attack(spec: str) -> Attack:
    """Build an attack from `name:option=value;...` or its JSON."""
    return from_spec(spec, attacks())
