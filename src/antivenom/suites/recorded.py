"""A model whose answers to a defense are written down while it gives them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from antivenom.core.arrays import Floats
from antivenom.data.query import Asked
from antivenom.guards.guard import Guard
from antivenom.guards.labels import ChoiceScores
from antivenom.models.lab import Fitted, HeadGradient
from antivenom.suites.stored import key_of


@dataclass(frozen=True)
class Recorded:
    """See `models.lab.Fitted`; every scored text is kept."""

    model: Fitted
    said: dict[str, tuple[npt.NDArray[np.float32], bool]] = field(default_factory=dict)
    """Scores of the choices, and `other`, by what was asked."""

    @property
    def guard(self) -> Guard:
        """The model's."""
        return self.model.guard

    def score(self, asked: Sequence[Asked], *, progress: str | None = None) -> ChoiceScores:
        """Score, and write down."""
        found = self.model.score(asked, progress=progress)
        for one, logs, other in zip(asked, found.log_probabilities, found.other, strict=True):
            self.said[key_of(one)] = logs.astype(np.float32), bool(other)
        return found

    def answer_states(self, asked: Sequence[Asked], *, progress: str | None = None) -> npt.NDArray[np.float32]:
        """The model's."""
        return self.model.answer_states(asked, progress=progress)

    def inner_states(
        self, asked: Sequence[Asked], depths: Sequence[float], *, progress: str | None = None
    ) -> npt.NDArray[np.float32]:
        """The model's."""
        return self.model.inner_states(asked, depths, progress=progress)

    def losses(self, rows: pa.Table, *, progress: str | None = None) -> Floats:
        """The model's."""
        return self.model.losses(rows, progress=progress)

    def gradients(self, rows: pa.Table, *, progress: str | None = None) -> Iterator[HeadGradient]:
        """The model's."""
        return self.model.gradients(rows, progress=progress)

    def likelihood(self, texts: Sequence[str], *, window: int = 0, progress: str | None = None) -> Floats:
        """The model's."""
        return self.model.likelihood(texts, window=window, progress=progress)

    def write(self, asked: Sequence[Asked], *, longest: int, progress: str | None = None) -> list[str]:
        """The model's."""
        return self.model.write(asked, longest=longest, progress=progress)

    def complete(self, texts: Sequence[str], *, longest: int, progress: str | None = None) -> list[str]:
        """The model's."""
        return self.model.complete(texts, longest=longest, progress=progress)
