"""One answer, from the backend to what a client may see: the guard's reading, the policy, the client's stop strings."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass

from antivenom.guards.answers import AnswerPrefix
from antivenom.inference.writing import OnEscape
from antivenom.serving.backend import Backend, LabelAnswer, Piece
from antivenom.serving.chat_request import ChatRequest
from antivenom.serving.chat_response import FinishReason
from antivenom.serving.errors import ApiError, too_slow
from antivenom.serving.options import ServiceLimits
from antivenom.serving.stripping import PrefixStripper, StopFilter


@dataclass
class AnswerOutcome:
    """What is known of an answer, more and more of it while it comes."""

    escaped: bool | None = None
    """Whether something pulled the model away; None as long as that is open."""
    mass: float | None = None
    """The probability mass outside the guarded labels, where it is known."""
    finish: FinishReason = "stop"
    """How it ended."""
    tokens: int = 0
    """Tokens the model said."""
    waited: float = 0.0
    """Seconds in which the backend was waited for."""


async def answer_label(
    backend: Backend, request: ChatRequest, limits: ServiceLimits, outcome: AnswerOutcome
) -> LabelAnswer:
    """The label of a request.

    Raises:
        ApiError: there is none, or not in time.
    """
    begun = time.perf_counter()
    try:
        async with asyncio.timeout(limits.first_seconds):
            answer = await backend.label(request.query)
    except TimeoutError:
        raise too_slow("the label", limits.first_seconds) from None
    outcome.waited += time.perf_counter() - begun
    outcome.escaped, outcome.mass, outcome.tokens = not answer.inside, answer.escape, 1
    return answer


class TextAnswer:
    """The free answer to a request, in pieces that a client may see."""

    def __init__(
        self, backend: Backend, request: ChatRequest, limits: ServiceLimits, on_escape: OnEscape, outcome: AnswerOutcome
    ) -> None:
        """Prepare to answer; `outcome` is filled while the answer comes."""
        self._backend = backend
        self._request = request
        self._limits = limits
        self._on_escape = on_escape
        self._outcome = outcome

    async def pieces(self) -> AsyncGenerator[str, None]:
        """The answer without thought and answer prefix, as it comes.

        Nothing comes before the prefix was seen. A first answer that lacks it is shown, withheld, or written again
        behind the prefix, as the policy has it. Closing the iterator ends the backend's work.

        Raises:
            ApiError: there is no answer, no more of it, or not in time.
        """
        answers = self._backend.guard.answers
        assert isinstance(answers, AnswerPrefix)
        stops = StopFilter(self._request.stops)
        async with contextlib.aclosing(self._attempts(answers)) as texts:
            async for text in texts:
                if shown := stops.feed(text):
                    yield shown
                if stops.stopped:
                    self._outcome.finish = "stop"
                    return
        if rest := stops.finish():
            yield rest

    async def _attempts(self, answers: AnswerPrefix) -> AsyncGenerator[str, None]:
        stripper, held = PrefixStripper(answers), ""
        async with contextlib.aclosing(self._read(stripper, said=False)) as texts:
            async for text in texts:
                if stripper.found:
                    self._outcome.escaped = False
                    yield text
                else:
                    held += text
        if self._outcome.finish == "length" and stripper.open:
            return  # the tokens were spent on a thought, so nobody knows what the model would have answered
        self._outcome.escaped = not stripper.found
        if stripper.found:
            return
        if self._on_escape == "report":
            yield held
        elif self._on_escape == "withhold":
            self._outcome.finish = "content_filter"
        else:
            again = PrefixStripper(answers)
            again.feed(answers.prefix)
            async with contextlib.aclosing(self._read(again, said=True)) as texts:
                async for text in texts:
                    yield text

    async def _read(self, stripper: PrefixStripper, *, said: bool) -> AsyncGenerator[str, None]:
        """What the stripper makes of one answer of the backend."""
        written = self._backend.write(self._request.query, longest=self._request.longest, said=said)
        async for piece in _in_time(written, self._limits, self._outcome):
            self._outcome.tokens += piece.tokens
            if shown := stripper.feed(piece.text):
                yield shown
            if piece.finished is not None:
                self._outcome.finish = "stop" if piece.finished else "length"
        if rest := stripper.finish():
            yield rest


async def _in_time(
    pieces: AsyncIterator[Piece], limits: ServiceLimits, outcome: AnswerOutcome
) -> AsyncGenerator[Piece, None]:
    """The pieces, each within its time; the iterator is closed however this one ends."""
    seconds, stage = limits.first_seconds, "the first word"
    try:
        while True:
            begun = time.perf_counter()
            try:
                async with asyncio.timeout(seconds):
                    piece = await anext(pieces)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise too_slow(stage, seconds) from None
            finally:
                outcome.waited += time.perf_counter() - begun
            yield piece
            seconds, stage = limits.next_seconds, "the next word"
    finally:
        close = getattr(pieces, "aclose", None)
        if close is not None:
            with contextlib.suppress(ApiError):
                await close()
