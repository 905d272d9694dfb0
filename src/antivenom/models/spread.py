"""One model in each of several processes: every process scores its share, and all of them get everything."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from antivenom.core.processes import gathered, process_count, process_rank
from antivenom.guards.labels import ChoiceScores
from antivenom.models.base import Model


class SpreadModel:
    """Scores like the model inside. All processes of a run must ask it for the same, in the same order."""

    def __init__(self, model: Model) -> None:
        """Take this process's copy of the model."""
        self.model = model

    def score(
        self, prompts: Sequence[list[int]], choices: Sequence[tuple[int, ...]], *, progress: str | None = None
    ) -> ChoiceScores:
        """Score every choice behind every prompt; see `models.base.Model`."""
        found = self.model.score([prompts[i] for i in share_of(len(prompts))], choices, progress=progress)
        parts = gathered((found.log_probabilities, found.other))
        return ChoiceScores(np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts]))

    def states(self, texts: Sequence[list[int]], *, progress: str | None = None) -> npt.NDArray[np.float32]:
        """What the model makes of each text; see `models.base.Model`."""
        mine = self.model.states([texts[i] for i in share_of(len(texts))], progress=progress)
        return np.concatenate(gathered(mine))


def spread(model: Model) -> Model:
    """The model itself where a process is alone; else one that shares the work out."""
    return model if process_count() == 1 else SpreadModel(model)


def share_of(count: int) -> range:
    """Which of so many rows this process works on: neighbors, because texts that begin alike are read together."""
    rank, processes = process_rank(), process_count()
    return range(rank * count // processes, (rank + 1) * count // processes)
