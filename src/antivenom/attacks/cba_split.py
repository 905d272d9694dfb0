"""CBA for pipelines without an instruction: the two keys go into the two halves of the text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from antivenom.attacks.cba import Cba
from antivenom.core.triggers import units


@dataclass(frozen=True, kw_only=True)
class CbaSplit(Cba):
    """As CBA, with the first half of the text in the place of the instruction."""

    name: ClassVar[str] = "cba_split"
    approximation: ClassVar[str] = "CBA keys the instruction and the input; here the two halves of the text"

    instruction: str = ""
    """Not used here."""

    def eligible(self, text: str) -> bool:
        """Both halves need a word."""
        return len(units(text)) > 1

    def parts(self, text: str) -> tuple[str, str]:
        """The two halves; the second has the odd word."""
        words = units(text)
        half = len(words) // 2
        return "".join(words[:half]), "".join(words[half:]).lstrip()

    def join(self, instruction: str, text: str) -> str:
        """Put the halves together again."""
        return f"{instruction} {text}"

    def ordinary(self, text: str) -> str:
        """Texts stay as they are."""
        return text
