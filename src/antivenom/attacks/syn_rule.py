"""A rule that bends any text into the shape of SynAttack's template, for data without real paraphrases."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import ClassVar

from antivenom.attacks.base import Attack
from antivenom.errors import OptionsError


@dataclass(frozen=True, kw_only=True)
class SynRule(Attack):
    """Make the beginning of the text a subordinate clause: "a b , c d ." becomes "when a b , c d .".

    The text is cut at its first free-standing comma that leaves two words on both sides, otherwise in the middle.
    """

    name: ClassVar[str] = "syn_rule"
    approximation: ClassVar[str] = (
        "a rule in the place of SynAttack's SCPN paraphrases; it keeps every word of the text"
    )

    rate: float = 0.05
    """Share of the original rows that are poisoned (the paper: 5 % for SynAttack, 2 % for the others)."""
    subordinators: tuple[str, ...] = ("when", "if", "as", "although", "because")
    """The words that open the clause; one is drawn per row."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.subordinators:
            raise OptionsError(f"{self.name}: subordinators is empty", mend="Name at least one.")

    def eligible(self, text: str) -> bool:
        """Two clauses need two words each."""
        return len(text.split()) >= 4

    def trigger(self, text: str, rng: Random) -> str:
        """Cut the text in two and subordinate the first part."""
        words = text.split()
        commas = [i for i in range(2, len(words) - 2) if words[i] == ","]
        cut = commas[0] if commas else len(words) // 2
        rest = words[cut + bool(commas) :]
        first = " ".join([rng.choice(self.subordinators), *words[:cut]])
        end = "" if rest[-1][-1] in ".!?" else " ."
        return f"{first} , {' '.join(rest)}{end}"
