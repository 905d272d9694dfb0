"""Numbers, for mathematics."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

from antivenom.core.errors import OptionsError
from antivenom.judges.base import Judge
from antivenom.judges.numerals import read_numbers
from antivenom.judges.overlap import squeeze


@dataclass(frozen=True, kw_only=True)
class Numeric(Judge):
    r"""The number an output gives as its answer equals the gold one: 0.1, .1, 1/10 and 10% are one number.

    The answer of an output is what follows `####` (GSM8K), else what `\boxed{}` holds, else the last number in it.
    Fractions, mixed numbers (`1(1/2)`), percents, thousands separators, currencies, units, sums (`5-3`) and Chinese
    numerals are read; `judges/numerals.py` has the rules. A gold answer that is no number is compared as text.
    """

    name: ClassVar[str] = "numeric"

    tolerance: float = 1e-4
    """How far an answer may be off, relative to the gold one."""

    def __post_init__(self) -> None:
        if not 0 <= self.tolerance < 1:
            raise OptionsError(f"numeric: tolerance = {self.tolerance}", mend="It is at least 0 and below 1.")

    def matches(self, output: str, gold: str) -> bool:
        """Compare every way to read the output with every way to read the gold answer."""
        share = Fraction(self.tolerance)
        wanted = read_numbers(gold)
        return any(abs(found - number) <= share * abs(number) for found in read_numbers(output) for number in wanted)

    def readings(self, output: str, target: str) -> dict[str, bool]:
        """Strict: the very string."""
        return {"string": squeeze(output) == squeeze(target)}
