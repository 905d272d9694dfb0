"""What answers behind the service: a model on this machine, or an engine. Queries go in, readings come out."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from antivenom.data.query import Query
from antivenom.guards.guard import Guard
from antivenom.guards.labels import ChoiceScores, LabelMap, Reading


@dataclass(frozen=True)
class LabelAnswer:
    """A label, and how sure the model is of it."""

    label: str
    """The label, in the client's words; empty where a monitor of the guard refused the input."""
    inside: bool
    """Whether the model's most likely output was a guarded one. If not, something pulled it away: the escape."""
    logs: tuple[tuple[str, float], ...] = ()
    """Each label with the log-probability of its guarded verbalizer over the full vocabulary; empty where an engine
    tells none."""
    escape: float | None = None
    """Probability mass outside the guarded verbalizers; None where an engine tells none."""


@dataclass(frozen=True)
class Piece:
    """Some of what a model writes, before anything is taken off."""

    text: str
    """What it wrote."""
    tokens: int = 0
    """In how many tokens."""
    finished: bool | None = None
    """In the last piece: whether the model came to its end (True), or to the longest answer (False)."""


class Backend(Protocol):
    """Anything that answers through the guard."""

    guard: Guard
    probabilities: bool
    """Whether labels come with probabilities."""
    name: str
    """What it is, for people."""

    def count_tokens(self, query: Query) -> int:
        """The tokens of what the client wrote.

        Raises:
            ApiError: it is longer than the model was taught to read.
        """
        ...

    async def label(self, query: Query) -> LabelAnswer:
        """Answer with a label.

        Raises:
            ApiError: there is no answer.
        """
        ...

    def write(self, query: Query, *, longest: int | None, said: bool) -> AsyncIterator[Piece]:
        """Write a free answer.

        Args:
            query: What is asked.
            longest: The most tokens behind the answer prefix, a thought in front of it included; what the task allows
                when None.
            said: Put the answer prefix behind the prompt, as if the model had said it; it is in no piece.

        Raises:
            ApiError: there is no answer, or no more of it.
        """
        ...

    async def ready(self) -> bool:
        """Whether requests can be answered now."""
        ...

    async def close(self) -> None:
        """Let go of what it holds."""
        ...


def label_answers(scores: ChoiceScores, readings: Sequence[Reading], labels: LabelMap) -> list[LabelAnswer]:
    """Readings with the log-probability of each label's guarded verbalizer."""
    return [
        LabelAnswer(
            label=reading.answer,
            inside=reading.extended,
            logs=tuple((labels.labels[labels.meaning[c]], float(logs[c])) for c in labels.allowed),
            escape=reading.escape,
        )
        for logs, reading in zip(scores.log_probabilities, readings, strict=True)
    ]
