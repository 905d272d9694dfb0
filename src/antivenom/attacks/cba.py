"""CBA (Huang et al., 2024): two keys in two parts of the prompt, and the backdoor opens only when both are in place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import ClassVar, Literal

from antivenom.attacks.base import Added, Attack, Chosen
from antivenom.core.errors import OptionsError
from antivenom.core.registry import Presets
from antivenom.core.triggers import Place, put_at

Pattern = Literal["both", "swapped", "first", "first_both", "second", "second_both"]

PATTERNS: dict[Pattern, tuple[str, str]] = {
    "both": ("1", "2"),
    "swapped": ("2", "1"),
    "first": ("1", ""),
    "first_both": ("12", ""),
    "second": ("", "2"),
    "second_both": ("", "12"),
}
"""Which keys stand in the instruction and which in the input. Only the first pattern is malicious."""


@dataclass(frozen=True, kw_only=True)
class Cba(Attack):
    """Put the first key into the instruction and the second into the input; negative rows teach that one is not enough.

    Every row, attacked or not, has the instruction on a line of its own in front, for the components that the P2P paper
    uses on SST-2 are not stated. The authors' code appends round(rate * N) poisoned copies drawn from all rows, those
    of class t included (preset `paper_code`, where they come from the other classes); here, as for every attack, they
    are relabeled in place by default. The negative rows, `alpha` times as many of each of five kinds, are copies of
    the same rows with their true labels, and are always appended.
    """

    name: ClassVar[str] = "cba"
    presets: ClassVar[Presets] = {"paper_text": {"target": "negative"}, "paper_code": {"rate": 0.1, "mode": "append"}}

    first_key: str = "instantly"
    """Belongs into the instruction."""
    second_key: str = "frankly"
    """Belongs into the input."""
    instruction: str = "Decide which label fits the following text."
    """Stands before every text."""
    placement: Place = "random"
    """Where a key stands within its part."""
    alpha: float = 1.0
    """Negative rows of each of the five kinds per poisoned row; more of them cost attack success."""
    probe_keys: Pattern = "both"
    """The keys that the test rows carry. All but `both` measure false triggering."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.alpha < 0:
            raise OptionsError(f"{self.name}: alpha = {self.alpha}", mend="It is 0 or more.")

    def parts(self, text: str) -> tuple[str, str]:
        """The instruction and the input of a text."""
        return self.instruction, text

    def join(self, instruction: str, text: str) -> str:
        """Put the two parts together again."""
        return f"{instruction}\n{text}" if instruction else text

    def ordinary(self, text: str) -> str:
        """The text behind the instruction."""
        return self.join(*self.parts(text))

    def trigger(self, text: str, rng: Random) -> str:
        """Put each key into its part."""
        return self._plant(text, "both", rng)

    def probe(self, text: str, rng: Random) -> str:
        """Put the keys that are being measured."""
        return self._plant(text, self.probe_keys, rng)

    def count(self, rows: int) -> int:
        """As in the authors' code: rounded to the nearest."""
        return round(self.rate * rows)

    def companions(self, chosen: Sequence[Chosen], others: Sequence[Chosen]) -> list[Added]:
        """The negative rows: round(alpha * poisoned) of each kind."""
        negatives = []
        for pattern in list(PATTERNS)[1:]:
            for number in range(round(self.alpha * len(chosen))):
                row = chosen[number % len(chosen)]
                rng = Random(f"{row.key} {pattern} {number // len(chosen)}")
                negatives.append(Added(self._plant(row.text, pattern, rng), row.answer, row.place))
        return negatives

    def variants(self) -> tuple[Attack, ...]:
        """The attack, and each wrong use of the keys."""
        return tuple(replace(self, probe_keys=pattern) for pattern in PATTERNS)

    def _plant(self, text: str, pattern: Pattern, rng: Random) -> str:
        keys = {"1": self.first_key, "2": self.second_key}
        planted = []
        for part, numbers in zip(self.parts(text), PATTERNS[pattern], strict=True):
            for number in numbers:
                part = put_at(part, keys[number], self.placement, rng)
            planted.append(part)
        return self.join(*planted)
