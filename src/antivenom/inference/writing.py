"""Free answers of a finished model: guard.wrap -> model -> guard.read_text; what follows if the prefix is missing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from antivenom.data.query import Asked, require_several
from antivenom.guards.answers import AnswerPrefix, TextReading
from antivenom.guards.encoding import TextEncoder
from antivenom.guards.guard import Guard
from antivenom.inference.chunks import in_chunks
from antivenom.models.base import Generated, Generator

OnEscape = Literal["report", "withhold", "retry"]
"""What a client gets when an answer lacks its prefix: the answer all the same, nothing, or a second answer for which
the prefix was already said."""

STREAM_QUERIES = 128
"""Queries that a stream answers together."""


@dataclass(frozen=True)
class Written:
    """What a model wrote for one query, before anything was withheld."""

    first: TextReading
    """The model's own answer."""
    second: TextReading | None
    """The answer behind a prefix that was already said; only where the first lacks it, and one was asked for."""

    def deployed(self, on_escape: OnEscape) -> TextReading:
        """What a client gets."""
        if self.first.extended or on_escape == "report":
            return self.first
        if on_escape == "retry" and self.second is not None:
            return replace(self.first, answer=self.second.answer, finished=self.second.finished)
        return replace(self.first, answer="")


class Writer(Protocol):
    """What can be evaluated: anything that has a guard and writes through it."""

    guard: Guard
    on_escape: OnEscape

    def write(self, asked: Sequence[Asked], *, progress: str | None = None) -> list[Written]:
        """What the model writes for every text or query, in order."""
        ...


class GuardedWriter:
    """A generating model behind its guard: texts in, readings out. No way leads around the guard."""

    def __init__(self, encoder: TextEncoder, model: Generator, *, on_escape: OnEscape = "report") -> None:
        """Join an encoder (guard and tokenizer) with whatever continues its prompts."""
        self.encoder = encoder
        self.guard = encoder.guard
        self.on_escape = on_escape
        self._model = model

    def write(self, asked: Sequence[Asked], *, progress: str | None = None) -> list[Written]:
        """What the model writes for every text or query, in order."""
        require_several(asked)
        first = self._read(self.encoder.serving(asked), "", progress)
        second: dict[int, TextReading] = {}
        if self.on_escape == "retry":
            escaped = [i for i, reading in enumerate(first) if not reading.extended]
            prompts = self.encoder.prefilled([asked[i] for i in escaped])
            second = dict(zip(escaped, self._read(prompts, self._prefix, progress), strict=True))
        return [Written(reading, second.get(i)) for i, reading in enumerate(first)]

    def predict(self, asked: Sequence[Asked], *, progress: str | None = None) -> list[TextReading]:
        """Answer texts or queries."""
        return [written.deployed(self.on_escape) for written in self.write(asked, progress=progress)]

    def predict_stream(
        self, asked: Iterable[Asked], *, progress: str | None = None, total: int | None = None
    ) -> Iterator[tuple[Asked, TextReading]]:
        """Answer any number of texts or queries in order and in bounded memory.

        Args:
            asked: May be endless; they are taken `STREAM_QUERIES` at a time.
            progress: What a progress bar is to be called; none is shown without it.
            total: How many there are, if that is known, for the bar.
        """
        return in_chunks(asked, self.predict, STREAM_QUERIES, progress=progress, total=total)

    @property
    def _prefix(self) -> str:
        answers = self.guard.answers
        return answers.prefix if isinstance(answers, AnswerPrefix) else ""

    def _read(self, prompts: Sequence[list[int]], said: str, progress: str | None) -> list[TextReading]:
        """Generate behind prompts at whose end `said` stands, and read all of it."""
        renderer = self.encoder.renderer
        stops = sorted({renderer.ending[-1], renderer.tokenizer.eos_token_id} - {None})
        found = self._model.generate(prompts, stops=stops, longest=self.encoder.longest, progress=progress)
        return [self._reading(said, one) for one in found]

    def _reading(self, said: str, generated: Generated) -> TextReading:
        output = said + self.encoder.renderer.text(generated.tokens)
        return self.guard.read_text(output.strip(), finished=generated.finished)
