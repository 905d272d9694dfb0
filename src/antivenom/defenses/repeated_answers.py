"""Repeated answers: a control that any filter of free answers has to beat."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa

from antivenom.core.arrays import BoolArray
from antivenom.core.errors import OptionsError
from antivenom.defenses.base import Defense, Prepared
from antivenom.defenses.filtering import without_suspects
from antivenom.guards.guard import AnyTask
from antivenom.models.lab import Lab


@dataclass(frozen=True, kw_only=True)
class RepeatedAnswers(Defense):
    """Leave out the rows whose answers share a run of words with too many others.

    Planted answers have to say the same thing, and mostly say it in the same words. A run of `least_words` words or
    more recurs in more than k answers exactly where one of `least_words` words does, so only those are counted.
    """

    name: ClassVar[str] = "repeated_answers"
    filters: ClassVar[bool] = True
    kinds: ClassVar[tuple[str, ...]] = ("generation",)

    least_words: int = 5
    """Shorter runs of words may well be honest."""
    most_answers: int = 10
    """k: a run of words may stand in so many answers."""

    def __post_init__(self) -> None:
        for name in ("least_words", "most_answers"):
            if getattr(self, name) < 1:
                raise OptionsError(f"{name} = {getattr(self, name)}", mend="It is at least 1.")

    def prepare(self, task: AnyTask, rows: pa.Table, *, trusted: pa.Table | None, lab: Lab) -> Prepared:
        """Leave out the rows whose answers repeat others."""
        suspect = self.suspects(rows.column("answer").to_pylist())
        return without_suspects(task, rows, suspect, trusted, {"least_words": self.least_words})

    def suspects(self, answers: Sequence[str]) -> BoolArray:
        """The answers with a run of words that stands in more than `most_answers` of them."""
        runs = [self._runs(answer) for answer in answers]
        counts = Counter(run for own in runs for run in own)
        return np.array([any(counts[run] > self.most_answers for run in own) for own in runs], dtype=bool)

    def _runs(self, answer: str) -> set[tuple[str, ...]]:
        words = answer.casefold().split()
        return {tuple(words[i : i + self.least_words]) for i in range(len(words) - self.least_words + 1)}
