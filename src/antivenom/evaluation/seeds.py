"""Several seeds: mean and spread of every number of an evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import mean, stdev

from antivenom.core.options import Options
from antivenom.evaluation.rates import Rate
from antivenom.evaluation.record import Evaluation


@dataclass(frozen=True)
class Spread(Options):
    """A number over several seeds."""

    mean: float
    sd: float | None
    """Sample standard deviation; none for a single seed."""
    seeds: int

    def __str__(self) -> str:
        """Percent, for tables."""
        return f"{100 * self.mean:.1f}" + ("" if self.sd is None else f" ± {100 * self.sd:.1f}")


def over_seeds(evaluations: Sequence[Evaluation]) -> dict[str, Spread]:
    """Mean and spread of each number; one that is missing for a seed is left out of that number's count.

    Keys are `accuracy`, `macro_f1`, `escape` and, for attack number i, `attacks.i.asr`, `attacks.i.excess` and so on.
    """
    values: dict[str, list[float]] = {}
    for evaluation in evaluations:
        for name, value in _numbers(evaluation):
            values.setdefault(name, []).append(value)
    return {
        name: Spread(mean(found), stdev(found) if len(found) > 1 else None, len(found))
        for name, found in values.items()
    }


def _numbers(evaluation: Evaluation) -> Iterator[tuple[str, float]]:
    parts = [("", evaluation.clean), *((f"attacks.{i}.", a) for i, a in enumerate(evaluation.attacks))]
    for prefix, part in parts:
        for name, value in vars(part).items():
            number = value.value if isinstance(value, Rate) else value
            if isinstance(number, float):
                yield f"{prefix}{name}", number
