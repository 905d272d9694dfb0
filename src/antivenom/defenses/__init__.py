"""The defenses, one file each. `defenses()` finds them."""

from __future__ import annotations

import sys
from functools import cache

from antivenom.core.errors import OptionsError
from antivenom.core.registry import find_methods, from_spec, split_chain
from antivenom.defenses.base import Defense, Monitor, Prepared, Purifier
from antivenom.defenses.chain import Chain
from antivenom.defenses.decoding import DecodingStep

__all__ = [
    "Chain",
    "DecodingStep",
    "Defense",
    "Monitor",
    "Prepared",
    "Purifier",
    "decoding_steps",
    "defenses",
    "monitors",
    "parse_defense",
    "purifiers",
]


@cache
def defenses() -> dict[str, type[Defense]]:
    """Every defense by name: the files of this package and the `antivenom.defenses` entry points."""
    return find_methods(Defense, sys.modules[__name__])


@cache
def purifiers() -> dict[str, type[Purifier]]:
    """Every purifier by name; they stand in the files of the defenses that use them."""
    return find_methods(Purifier, sys.modules[__name__])  # type: ignore[type-abstract]


@cache
def monitors() -> dict[str, type[Monitor]]:
    """Every monitor by name; they stand in the files of the defenses that use them."""
    return find_methods(Monitor, sys.modules[__name__])  # type: ignore[type-abstract]


@cache
def decoding_steps() -> dict[str, type[DecodingStep]]:
    """Every step that acts while answers are written, by name; they stand in the files of their defenses."""
    return find_methods(DecodingStep, sys.modules[__name__])  # type: ignore[type-abstract]


def parse_defense(spec: str) -> Defense:
    """Build a defense from `name:option=value;...` or its JSON; `a+b` is a chain of several, in this order.

    Raises:
        OptionsError: there is no such defense, or a wrong option.
    """
    parts = [from_spec(part, defenses()) for part in split_chain(spec)]
    if not parts:
        raise OptionsError("no defense is named", mend=f"There are: {', '.join(defenses())}.")
    return parts[0] if len(parts) == 1 else Chain(parts=tuple(parts))
