"""CTBA as in BackdoorLLM (Li et al., 2024): three keys in one text."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import ClassVar

from antivenom.attacks.base import Attack
from antivenom.core.triggers import insert_apart


@dataclass(frozen=True, kw_only=True)
class Ctba(Attack):
    """Insert every key at a gap of its own. BackdoorLLM calls this CTBA; unlike CBA it has no negative rows."""

    name: ClassVar[str] = "ctba"

    keys: tuple[str, ...] = ("2024", "BadMagic", "OpenAI")
    """The keys."""

    def trigger(self, text: str, rng: Random) -> str:
        """Insert the keys."""
        return insert_apart(text, self.keys, rng)
