"""What a model is to the rest of the project: something that scores choices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from antivenom.guards.labels import ChoiceScores


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


class Generated(NamedTuple):
    """What a model said behind a prompt."""

    tokens: tuple[int, ...]
    """Token ids, without the one that ended the answer."""
    finished: bool
    """Whether the answer came to its end."""


class Generator(Protocol):
    """Anything that continues a prompt."""

    def generate(
        self, prompts: Sequence[list[int]], *, stops: Sequence[int], longest: int, progress: str | None = None
    ) -> list[Generated]:
        """Continue every prompt with the most likely tokens.

        Args:
            prompts: Token ids of each prompt.
            stops: Tokens that end an answer.
            longest: The most tokens of an answer.
            progress: What a progress bar is to be called; none is shown without it.

        Returns:
            One answer for each prompt, in their order.
        """
        ...

    def stream(self, prompt: list[int], *, stops: Sequence[int], longest: int) -> Iterator[int]:
        """Continue one prompt with the most likely tokens, each as soon as it is known.

        Args:
            prompt: Its token ids.
            stops: Tokens that end an answer; the one that did is the last that is given.
            longest: The most tokens of an answer.
        """
        ...
