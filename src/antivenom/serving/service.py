"""The service: chat completions through the guard, counted, logged and bounded."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

from antivenom.core.errors import AntivenomError
from antivenom.serving.answering import AnswerOutcome, TextAnswer, answer_label
from antivenom.serving.backend import Backend
from antivenom.serving.chat_request import Accepts, ChatRequest, read_chat_request
from antivenom.serving.chat_response import Envelope, Usage, label_logprobs
from antivenom.serving.errors import ApiError, overloaded, refused, too_slow
from antivenom.serving.escapes import EscapeMonitor
from antivenom.serving.exchange import ClientGoneError, Exchange
from antivenom.serving.keys import Keys
from antivenom.serving.metrics import Metrics
from antivenom.serving.options import Policy, ServiceLimits
from antivenom.serving.sse import DONE, KEEP_ALIVE, event

LOG = logging.getLogger("antivenom.serving")
ESCAPE_HEADER = "X-Antivenom-Escape"
EVENT_STREAM = "text/event-stream; charset=utf-8"
AHEAD = 64
"""Pieces that may be ready before a slow client has taken them; then the backend waits."""


@dataclass(frozen=True)
class Service:
    """Everything that answers chat completions."""

    backend: Backend
    """What answers."""
    name: str
    """The name of the model, the only one there is."""
    verified: str
    """What was compared before serving, for people."""
    limits: ServiceLimits = field(default_factory=ServiceLimits)
    """What it bears."""
    policy: Policy = field(default_factory=Policy)
    """What a client gets."""
    keys: Keys = field(default_factory=Keys)
    """Who may ask."""
    monitor: EscapeMonitor = field(default_factory=EscapeMonitor)
    """Counts escapes."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "metrics", Metrics(self.monitor))

    metrics: Metrics = field(init=False, repr=False)
    """What it counts."""

    @property
    def accepts(self) -> Accepts:
        """What a request may hold."""
        task = self.backend.guard.task
        labels = task.classes is not None
        context = self.policy.context if self.policy.context is not None else not labels
        return Accepts(self.name, labels, task.frame.modality != "text", context, self.limits.most_turns)

    def require_key(self, exchange: Exchange) -> str:
        """The name of the client's key.

        Raises:
            ApiError: it has none that is known (401).
        """
        who = self.keys.who(exchange.header_values("authorization"))
        if who is None:
            headers = {"WWW-Authenticate": "Bearer"}
            raise ApiError(401, "this API key is not known here", code="invalid_api_key", headers=headers)
        return who

    async def chat(self, exchange: Exchange) -> None:
        """Answer `POST /v1/chat/completions`."""
        begun, outcome, facts = time.perf_counter(), AnswerOutcome(), dict[str, Any]()
        try:
            if self.metrics.running >= self.limits.most_requests:
                raise overloaded(f"{self.metrics.running} requests are being answered", seconds=1)
            self.metrics.running += 1
            try:
                facts["key"] = self.require_key(exchange)
                request = read_chat_request(await exchange.body(), self.accepts)
                if request.logprobs and not self.backend.probabilities:
                    raise refused("logprobs", "this engine tells no probabilities", code="unsupported_value")
                facts |= {"stream": request.stream, "prompt_tokens": self.backend.count_tokens(request.query)}
                facts["read_ms"] = _ms(time.perf_counter() - begun)
                await exchange.until_gone(self._answer(exchange, request, outcome, facts))
            finally:
                self.metrics.running -= 1
        except ClientGoneError:
            self.metrics.gone += 1
            facts["gone"] = True
        except ApiError as error:
            await self._fail(exchange, error, facts)
        except Exception as error:
            LOG.error(json.dumps({"request": exchange.id, "error": type(error).__name__}), exc_info=_trace(error))
            await self._fail(exchange, ApiError(500, "something went wrong here", code="internal_error"), facts)
        self._count(exchange, outcome, facts, time.perf_counter() - begun)

    async def _answer(
        self, exchange: Exchange, request: ChatRequest, outcome: AnswerOutcome, facts: dict[str, Any]
    ) -> None:
        try:
            async with asyncio.timeout(self.limits.whole_seconds):
                if self.accepts.labels:
                    await self._answer_label(exchange, request, outcome, facts)
                elif request.stream:
                    await self._stream_text(exchange, request, outcome, facts)
                else:
                    await self._whole_text(exchange, request, outcome, facts)
        except TimeoutError:
            raise too_slow("the whole answer", self.limits.whole_seconds) from None

    async def _answer_label(
        self, exchange: Exchange, request: ChatRequest, outcome: AnswerOutcome, facts: dict[str, Any]
    ) -> None:
        answer = await answer_label(self.backend, request, self.limits, outcome)
        usage, envelope = Usage(facts["prompt_tokens"], outcome.tokens), Envelope(self.name)
        wanted = request.logprobs and bool(answer.label)
        logprobs = label_logprobs(answer.label, answer.logs, request.top_logprobs) if wanted else None
        outcome.finish = "stop" if answer.label else "content_filter"
        self._tell_escape(exchange, outcome)
        if not request.stream:
            await exchange.json(200, envelope.whole(answer.label, outcome.finish, usage, logprobs=logprobs))
            return
        events = [envelope.first(), envelope.piece(answer.label, logprobs=logprobs), envelope.last(outcome.finish)]
        events += [envelope.usage(usage)] if request.usage else []
        await exchange.begin(200, EVENT_STREAM)
        await exchange.write(b"".join([*map(event, events), DONE]), last=True)

    async def _whole_text(
        self, exchange: Exchange, request: ChatRequest, outcome: AnswerOutcome, facts: dict[str, Any]
    ) -> None:
        async with contextlib.aclosing(self._text(request, outcome)) as pieces:
            text = "".join([piece async for piece in pieces])
        usage = Usage(facts["prompt_tokens"], outcome.tokens)
        self._tell_escape(exchange, outcome)
        await exchange.json(200, Envelope(self.name).whole(text, outcome.finish, usage))

    async def _stream_text(
        self, exchange: Exchange, request: ChatRequest, outcome: AnswerOutcome, facts: dict[str, Any]
    ) -> None:
        """Stream: headers wait for the first word, so that an error before it has a status of its own."""
        envelope, begun = Envelope(self.name), time.perf_counter()
        async for piece in _with_signs_of_life(self._text(request, outcome), self.limits.keep_alive_seconds):
            if not exchange.begun:
                self._tell_escape(exchange, outcome)
                await exchange.begin(200, EVENT_STREAM)
                await exchange.write(event(envelope.first()))
            if piece is None:
                await exchange.write(KEEP_ALIVE)
                continue
            facts.setdefault("first_ms", _ms(time.perf_counter() - begun))
            await exchange.write(event(envelope.piece(piece)))
        if not exchange.begun:  # nothing was to be seen
            self._tell_escape(exchange, outcome)
            await exchange.begin(200, EVENT_STREAM)
            await exchange.write(event(envelope.first()))
        end = [envelope.last(outcome.finish)]
        end += [envelope.usage(Usage(facts["prompt_tokens"], outcome.tokens))] if request.usage else []
        await exchange.write(b"".join([*map(event, end), DONE]), last=True)

    def _text(self, request: ChatRequest, outcome: AnswerOutcome) -> AsyncGenerator[str, None]:
        return TextAnswer(self.backend, request, self.limits, self.policy.on_escape, outcome).pieces()

    def _tell_escape(self, exchange: Exchange, outcome: AnswerOutcome) -> None:
        """The header: the mass outside the guarded labels where it is known, else 1 or 0; nothing while it is open."""
        if self.policy.escape_header and outcome.escaped is not None:
            told = float(outcome.escaped) if outcome.mass is None else outcome.mass
            exchange.headers[ESCAPE_HEADER] = f"{told:.6f}; {'outside' if outcome.escaped else 'inside'}"

    async def _fail(self, exchange: Exchange, error: ApiError, facts: dict[str, Any]) -> None:
        """Tell the client: with a status before the first byte, with an event after it."""
        facts["error"] = error.code or error.status
        with contextlib.suppress(ClientGoneError):
            if exchange.begun:
                await exchange.write(event(error.body()) + DONE, last=True)
            else:
                exchange.headers |= error.headers
                await exchange.json(error.status, error.body())

    def _count(self, exchange: Exchange, outcome: AnswerOutcome, facts: dict[str, Any], seconds: float) -> None:
        metrics = self.metrics
        metrics.responses[exchange.status or 499] += 1
        metrics.seconds.add(seconds)
        if "first_ms" in facts:
            metrics.first_seconds.add(facts["first_ms"] / 1000)
        metrics.tokens["prompt"] += facts.get("prompt_tokens", 0)
        metrics.tokens["answer"] += outcome.tokens
        if outcome.escaped is not None:
            own = max(0.0, seconds - outcome.waited)
            metrics.own_seconds.add(own)
            facts["own_ms"] = _ms(own)
            before = self.monitor.alarm
            if self.monitor.add(outcome.escaped) and not before:
                LOG.error(json.dumps({"alarm": "escape rate outside its band", "recent": self.monitor.recent}))
        if outcome.mass is not None:
            metrics.mass.add(outcome.mass)
        line = {"request": exchange.id, "status": exchange.status, "ms": _ms(seconds), **facts}
        line |= {"answer_tokens": outcome.tokens, "escaped": outcome.escaped}
        LOG.info(json.dumps(line))


async def _with_signs_of_life(pieces: AsyncGenerator[str, None], seconds: float) -> AsyncGenerator[str | None, None]:
    """The pieces, and None whenever none came for so long. Pieces are fetched ahead of a slow reader, but not far."""
    queue: asyncio.Queue[str | BaseException | None] = asyncio.Queue(AHEAD)

    async def fetch() -> None:
        try:
            async with contextlib.aclosing(pieces):
                async for piece in pieces:
                    await queue.put(piece)
            await queue.put(None)
        except Exception as error:  # raised again where it is read
            await queue.put(error)

    fetching = asyncio.create_task(fetch())
    try:
        while True:
            try:
                async with asyncio.timeout(seconds):
                    piece = await queue.get()
            except TimeoutError:
                yield None
                continue
            # What has gathered meanwhile goes out together.
            while isinstance(piece, str) and not queue.empty():
                following = queue.get_nowait()
                if not isinstance(following, str):
                    yield piece
                    piece = following
                else:
                    piece += following
            if isinstance(piece, BaseException):
                raise piece
            if piece is None:
                return
            yield piece
    finally:
        fetching.cancel()
        await asyncio.gather(fetching, return_exceptions=True)


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)


def _trace(error: Exception) -> bool:
    """Whether a log may show where an error came from: never for those whose message could hold a text."""
    return not isinstance(error, AntivenomError)
