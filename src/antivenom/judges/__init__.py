"""The judges, one file each: is an output right, and has an attacker got what they wanted? `judges()` finds them."""

from __future__ import annotations

import sys
from functools import cache

from antivenom.core.registry import find_methods, from_spec
from antivenom.judges.base import Judge

__all__ = ["Judge", "judges", "parse_judge"]


@cache
def judges() -> dict[str, type[Judge]]:
    """Every judge by name: the files of this package and the `antivenom.judges` entry points."""
    return find_methods(Judge, sys.modules[__name__])  # type: ignore[type-abstract]


def parse_judge(spec: str) -> Judge:
    """Build a judge from `name:option=value;...` or its JSON."""
    return from_spec(spec, judges())
