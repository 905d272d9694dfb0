"""What a model is to the rest of the project: something that scores choices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from antivenom.labels import ChoiceScores


class Model(Protocol):
    """Anything that gives log-probabilities to the choices behind a prompt."""

    def score(
        self, prompts: Sequence[list[int]], choices: Sequence[tuple[int, ...]], *, progress: str | None = None
    ) -> ChoiceScores:
        """Score every choice behind every prompt.

        Args:
            prompts: Token ids of each prompt.
            choices: Token ids of each choice; none is the beginning of another.
            progress: What a progress bar is to be called; none is shown without it.

        Returns:
            Log-probabilities over the full vocabulary, in the order of the prompts.
        """
        ...
