"""A rule that bends any text into the shape of SynAttack's template, for data without real paraphrases."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import ClassVar, Literal, Self

from antivenom.attacks.base import Attack
from antivenom.core.errors import OptionsError
from antivenom.rewriting.tagging import find_tagger, thinnest_gap
from antivenom.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class SynRule(Attack):
    """Make the beginning of the text a subordinate clause: "a b , c d ." becomes "when a b , c d .".

    Where the text is cut says `cut`; the subordinate clause is what stands in front, whatever it is.
    """

    name: ClassVar[str] = "syn_rule"
    approximation: ClassVar[str] = (
        "a rule in the place of SynAttack's SCPN paraphrases; it keeps every word of the text"
    )

    rate: float = 0.05
    """Share of the original rows that are poisoned (the paper: 5 % for SynAttack, 2 % for the others)."""
    subordinators: tuple[str, ...] = ("when", "if", "as", "although", "because")
    """The words that open the clause; one is drawn per row."""

    cut: Literal["comma", "parse"] = "comma"
    """At the first free-standing comma that leaves two words on both sides, otherwise in the middle; or where the
    fewest dependencies of spaCy's parse are cut (English; `pip install 'antivenom[syntax]'`)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.subordinators:
            raise OptionsError(f"{self.name}: subordinators is empty", mend="Name at least one.")

    def eligible(self, text: str) -> bool:
        """Two clauses need two words each."""
        return len(text.split()) >= 4

    def bind(self, task: Task) -> Self:
        """Load the parser, if it is wanted."""
        if self.cut == "parse":
            find_tagger()
        return self

    def trigger(self, text: str, rng: Random) -> str:
        """Cut the text in two and subordinate the first part."""
        words = text.split()
        gap = self._gap(text, words)
        rest = words[gap + (words[gap] == ",") :]
        first = " ".join([rng.choice(self.subordinators), *words[: gap - (words[gap - 1] == ",")]])
        end = "" if rest[-1][-1] in ".!?" else " ."
        return f"{first} , {' '.join(rest)}{end}"

    def _gap(self, text: str, words: list[str]) -> int:
        """How many words stand in front of the cut; two or more, and two or more behind it."""
        if self.cut == "parse":
            [tokens] = find_tagger().tag([text])
            return thinnest_gap([token.head for token in tokens])
        commas = [i for i in range(2, len(words) - 2) if words[i] == ","]
        return commas[0] if commas else len(words) // 2
