"""Free answers of a finished model: guard.wrap -> model -> guard.read_text; what follows if the prefix is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

from antivenom.data.query import Asked, require_several
from antivenom.guards.answers import AnswerPrefix, TextReading
from antivenom.guards.encoding import TextEncoder
from antivenom.guards.guard import Guard
from antivenom.guards.rendering import Cut
from antivenom.inference.chunks import in_chunks
from antivenom.inference.fitted import FittedModel
from antivenom.inference.steps import InputSteps
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


@dataclass(frozen=True)
class Part:
    """Some of what a model writes."""

    text: str
    """What it wrote."""
    tokens: int
    """In how many tokens."""
    finished: bool | None = None
    """In the last part: whether the model came to its end (True), or to the longest answer (False)."""


class Spelling:
    """Spells tokens as they come: what `feed` and `finish` return, joined, is the text of all tokens."""

    def __init__(self, text: Callable[[Sequence[int]], str]) -> None:
        """Spell with `text`, which may spell a token otherwise when others stand before it."""
        self._text = text
        self._tokens: list[int] = []
        self._start = self._shown = 0

    def feed(self, token: int) -> str:
        """Take a token; return the characters that are whole now."""
        self._tokens.append(token)
        return self._rest(whole=False)

    def finish(self) -> str:
        """Return what is left."""
        return self._rest(whole=True)

    def _rest(self, *, whole: bool) -> str:
        before = self._text(self._tokens[self._start : self._shown])
        after = self._text(self._tokens[self._start :])
        if len(after) <= len(before) or (after.endswith("\ufffd") and not whole):
            return ""
        self._start, self._shown = self._shown, len(self._tokens)
        return after[len(before) :]


class Writer(Protocol):
    """What can be evaluated: anything that has a guard and writes through it."""

    guard: Guard
    on_escape: OnEscape

    def write(self, asked: Sequence[Asked], *, progress: str | None = None) -> list[Written]:
        """What the model writes for every text or query, in order."""
        ...


class GuardedWriter:
    """A generating model behind its guard: texts in, readings out. No way leads around the guard."""

    def __init__(
        self,
        encoder: TextEncoder,
        model: Generator,
        *,
        on_escape: OnEscape = "report",
        base: Callable[[], Any] | None = None,
    ) -> None:
        """Join an encoder (guard and tokenizer) with whatever continues its prompts.

        Args:
            encoder: The guard and the tokenizer.
            model: Continues prompts.
            on_escape: What a client gets when an answer lacks its prefix.
            base: Loads the untouched base model, for guards that have it watch the answers.
        """
        self.encoder = encoder
        self.guard = encoder.guard
        self.on_escape = on_escape
        self._steps = InputSteps(encoder.guard)
        self.model = self._steps.watched(model, base)

    def write(self, asked: Sequence[Asked], *, progress: str | None = None) -> list[Written]:
        """What the model writes for every text or query, in order."""
        require_several(asked)
        asked = self._steps.purify(asked, FittedModel(self.encoder, self.model, quiet=True))
        prompts, cuts = self.encoder.served(asked)
        said = self._read(prompts, self.encoder.opening, progress)
        first = [replace(reading, cut=bool(cut)) for reading, cut in zip(said, cuts, strict=True)]
        second: dict[int, TextReading] = {}
        if self.on_escape == "retry":
            escaped = [i for i, reading in enumerate(first) if not reading.extended]
            prompts = self.encoder.prefilled([asked[i] for i in escaped])
            second = dict(zip(escaped, self._read(prompts, self._prefix, progress), strict=True))
        return [Written(reading, second.get(i)) for i, reading in enumerate(first)]

    def cuts(self, asked: Sequence[Asked]) -> list[Cut]:
        """What is left out of the prompt of every text or query to keep it within the longest prompt."""
        return self.encoder.served(asked).cuts

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

    def stream(self, asked: Asked, *, said: bool = False, longest: int | None = None) -> Iterator[Part]:
        """What the model writes for one text or query, as it comes and before the guard reads it.

        Args:
            asked: The text or query.
            said: Put the answer prefix behind the prompt, as if the model had said it; it is in no part.
            longest: The most tokens behind the answer prefix, a thought in front of it included; what the task allows
                when None.
        """
        purified = self._steps.purify([asked], FittedModel(self.encoder, self.model, quiet=True))
        prompt = (self.encoder.prefilled if said else self.encoder.serving)(purified)[0]
        renderer, most = self.encoder.renderer, self.encoder.longest
        if longest is not None:
            prefix = 0 if said else len(renderer.tokenizer(self._prefix, add_special_tokens=False)["input_ids"])
            most = min(most, longest + prefix)
        spelled, opening = Spelling(renderer.text), "" if said else self.encoder.opening
        for token in self.model.stream(prompt, stops=self._stops, longest=most):
            if token in self._stops:
                yield Part(opening + spelled.finish(), 0, True)
                return
            yield Part(opening + spelled.feed(token), 1)
            opening = ""
        yield Part(opening + spelled.finish(), 0, False)

    @property
    def _stops(self) -> list[int]:
        """The tokens that end an answer."""
        renderer = self.encoder.renderer
        return sorted({renderer.ending[-1], renderer.tokenizer.eos_token_id} - {None})

    @property
    def _prefix(self) -> str:
        answers = self.guard.answers
        return answers.prefix if isinstance(answers, AnswerPrefix) else ""

    def _read(self, prompts: Sequence[list[int]], said: str, progress: str | None) -> list[TextReading]:
        """Generate behind prompts at whose end `said` stands, and read all of it."""
        found = self.model.generate(prompts, stops=self._stops, longest=self.encoder.longest, progress=progress)
        return [self._reading(said, one) for one in found]

    def _reading(self, said: str, generated: Generated) -> TextReading:
        output = said + self.encoder.renderer.text(generated.tokens)
        return self.guard.read_text(output.strip(), finished=generated.finished)
