"""Referees that are asked once: what a fitted model said is kept, so that a changed decision is tried in seconds."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from antivenom.core.files import atomic_write
from antivenom.guards.labels import ChoiceScores
from antivenom.suites.stored import key_of

States = npt.NDArray[np.float32]


@dataclass
class RememberedReferee:
    """A fitted model whose answers are kept in a file; it is loaded only where something new is asked."""

    guard: Any
    path: Path
    """Where the answers are kept."""
    fitted: Callable[[], Any]
    """Fits or loads the model."""
    scores: dict[str, npt.NDArray[np.float32]] = field(default_factory=dict)
    """By the digest of what was asked: log-probabilities of the choices, and whether another token is likeliest."""
    read: dict[str, States] = field(default_factory=dict)
    """States of bare texts, by digest."""

    def __post_init__(self) -> None:
        if self.path.exists():
            kept = np.load(self.path, allow_pickle=False)
            self.scores = dict(zip(kept["asked"].tolist(), kept["scores"], strict=True))
            self.read = dict(zip(kept["texts"].tolist(), kept["states"].astype(np.float32), strict=True))

    def score(self, asked: Sequence[Any], *, progress: str | None = None) -> ChoiceScores:
        """See `models.lab.Fitted`."""
        keys = [_digest(key_of(one)) for one in asked]
        new = [place for place, key in enumerate(keys) if key not in self.scores]
        if new:
            found = self.fitted().score([asked[place] for place in new])
            rows = np.hstack([found.log_probabilities, found.other[:, np.newaxis]]).astype(np.float32)
            self.scores |= {keys[place]: row for place, row in zip(new, rows, strict=True)}
            self._keep()
        table = np.stack([self.scores[key] for key in keys])
        return ChoiceScores(table[:, :-1].astype(np.float64), table[:, -1] > 0)

    def states(self, texts: Sequence[str], *, progress: str | None = None) -> States:
        """See `models.lab.Fitted`."""
        keys = [_digest(text) for text in texts]
        new = [place for place, key in enumerate(keys) if key not in self.read]
        if new:
            rows = self.fitted().states([texts[place] for place in new]).astype(np.float16).astype(np.float32)
            self.read |= {keys[place]: row for place, row in zip(new, rows, strict=True)}
            self._keep()
        return np.stack([self.read[key] for key in keys])

    def _keep(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        nothing = np.zeros((0, 0), np.float32)
        with atomic_write(self.path, "wb") as file:
            np.savez(
                file,
                asked=np.array(list(self.scores), dtype=str),
                scores=np.stack(list(self.scores.values())) if self.scores else nothing,
                texts=np.array(list(self.read), dtype=str),
                states=np.stack(list(self.read.values())).astype(np.float16) if self.read else nothing,
            )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
