"""One model in each of several processes: every process answers its share, and all of them get everything."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from antivenom.core.arrays import Floats
from antivenom.core.processes import gathered, process_count, process_rank
from antivenom.data.query import Asked
from antivenom.guards.guard import Guard
from antivenom.guards.labels import ChoiceScores
from antivenom.models.lab import Fitted, HeadGradient

Array = TypeVar("Array", bound=npt.NDArray[Any])


class SpreadFitted:
    """Answers like the model inside; see `models.lab.Fitted`.

    All processes of a run must ask the same in the same order, as they do when each runs the same defense.
    """

    def __init__(self, fitted: Fitted) -> None:
        """Take this process's copy of the model."""
        self._fitted = fitted

    @property
    def guard(self) -> Guard:
        """Wraps what is asked and reads what is said."""
        return self._fitted.guard

    def score(self, asked: Sequence[Asked], *, progress: str | None = None) -> ChoiceScores:
        """Score the choices of the guard's label map for each text or query."""
        found = self._fitted.score(_mine(asked), progress=progress)
        parts = gathered((found.log_probabilities, found.other))
        return ChoiceScores(np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts]))

    def answer_states(self, asked: Sequence[Asked], *, progress: str | None = None) -> npt.NDArray[np.float32]:
        """The last hidden state where the answer is predicted, under the guard; shape (texts, width)."""
        return _joined(lambda: self._fitted.answer_states(_mine(asked), progress=progress))

    def inner_states(
        self, asked: Sequence[Asked], depths: Sequence[float], *, progress: str | None = None
    ) -> npt.NDArray[np.float32]:
        """Hidden states at some shares of the layers, at the end and on average; shape (texts, depths, 2, width)."""
        return _joined(lambda: self._fitted.inner_states(_mine(asked), depths, progress=progress))

    def losses(self, rows: pa.Table, *, progress: str | None = None) -> Floats:
        """The mean cross-entropy of each prepared row's answer tokens; shape (rows,)."""
        share = share_of(rows.num_rows)
        return _joined(lambda: self._fitted.losses(rows.slice(share.start, len(share)), progress=progress))

    def gradients(self, rows: pa.Table, *, progress: str | None = None) -> Iterator[HeadGradient]:
        """The head's gradient of each prepared row, in order; too large to send, so each process computes all."""
        return self._fitted.gradients(rows, progress=progress)

    def likelihood(self, texts: Sequence[str], *, window: int = 0, progress: str | None = None) -> Floats:
        """Log-likelihood (natural) per token of each bare text; shape (texts,)."""
        return _joined(lambda: self._fitted.likelihood(_mine(texts), window=window, progress=progress))

    def write(self, asked: Sequence[Asked], *, longest: int, progress: str | None = None) -> list[str]:
        """Continue each prompt greedily; the raw output, before the guard reads it."""
        parts = gathered(self._fitted.write(_mine(asked), longest=longest, progress=progress))
        return [text for part in parts for text in part]

    def complete(self, texts: Sequence[str], *, longest: int, progress: str | None = None) -> list[str]:
        """Continue each bare text greedily, without the guard."""
        parts = gathered(self._fitted.complete(_mine(texts), longest=longest, progress=progress))
        return [text for part in parts for text in part]


def spread(fitted: Fitted) -> Fitted:
    """The model itself where a process is alone; else one that shares the work out."""
    return fitted if process_count() == 1 else SpreadFitted(fitted)


def share_of(count: int) -> range:
    """Which of so many rows this process works on: neighbors, because texts that begin alike are read together."""
    rank, processes = process_rank(), process_count()
    return range(rank * count // processes, (rank + 1) * count // processes)


def _mine(asked: Sequence[Any]) -> list[Any]:
    share = share_of(len(asked))
    return list(asked[share.start : share.stop])


def _joined(ask: Callable[[], Array]) -> Array:
    parts: Any = np.concatenate(gathered(ask()))
    found: Array = parts
    return found
