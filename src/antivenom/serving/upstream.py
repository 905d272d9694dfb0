"""Answer with an engine behind the gateway. The prompt is written here; the engine only continues it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from antivenom.data.query import Query
from antivenom.guards.encoding import LabelEncoder, TextEncoder
from antivenom.guards.labels import ChoiceScores
from antivenom.serving.backend import LabelAnswer, Piece, label_answers
from antivenom.serving.engines.base import PATH, Engine, Words
from antivenom.serving.errors import ApiError, upstream_failed
from antivenom.serving.prompting import Prompting
from antivenom.serving.spelling import Choices, continued
from antivenom.serving.sse import EventReader

if TYPE_CHECKING:
    import httpx2

LARGEST_RESPONSE = 1 << 20
CONNECT_SECONDS = 5.0
UNNAMED = -100.0
"""The log-probability of a token that is not among those an engine named: it is less likely than all of them."""


@dataclass(frozen=True)
class Link:
    """How an engine is reached."""

    client: httpx2.AsyncClient
    """An HTTP client whose base URL is the engine's."""
    engine: Engine
    """What kind of engine it is."""
    model: str
    """The model's name there. It is never the client's to choose."""


class UpstreamBackend:
    """Any engine behind the guard."""

    def __init__(self, encoder: LabelEncoder | TextEncoder, link: Link, *, cut: bool = False) -> None:
        """Stand in front of an engine that serves the model the guard was made for.

        Args:
            encoder: Guard and tokenizer.
            link: How the engine is reached.
            cut: Whether a text that is too long is cut instead of refused.
        """
        self.guard = encoder.guard
        self.probabilities = link.engine.probabilities
        self.name = f"{link.engine.name} behind this gateway"
        self._encoder = encoder
        self._link = link
        self._prompting = Prompting(encoder, cut)

    def count_tokens(self, query: Query) -> int:
        """The tokens of what the client wrote; see `backend.Backend`."""
        return self._prompting.count(query)

    async def label(self, query: Query) -> LabelAnswer:
        """Answer with a label; see `backend.Backend`.

        The most likely tokens are asked for without a restriction, so that an escape is seen, and the answer is the
        most likely guarded one among them. Only where none is, the engine is asked again, restricted.
        """
        prompt = self._prompting.ids(query)
        if not self.probabilities:
            return await self._label_by_text(prompt)
        scores = await self._scores(prompt)
        answer = label_answers(scores, self.guard.read(scores), self.guard.labels)[0]
        if (scores.log_probabilities[0, list(self.guard.labels.allowed)] > UNNAMED).any():
            return answer
        choice = await self._restricted(prompt)
        return LabelAnswer(self._name(choice), False, answer.logs, answer.escape)

    async def write(self, query: Query, *, longest: int | None, said: bool) -> AsyncGenerator[Piece, None]:
        """Write a free answer; see `backend.Backend`. Closing the iterator ends the engine's work."""
        assert isinstance(self._encoder, TextEncoder)
        prompt = self._prompting.ids(query, said=said)
        most = self._longest(longest, said=said)
        opening = "" if said else self._encoder.opening  # with the first word: the engine has its own time for that
        async with contextlib.aclosing(self._stream(self._body(prompt, most))) as events:
            async for event in events:
                yield replace(event, text=opening + event.text)
                opening = ""

    async def ready(self) -> bool:
        """Whether the engine answers that it has the model."""
        try:
            response = await self._link.client.get("/v1/models", timeout=CONNECT_SECONDS)
        except Exception as error:
            if _is_http(error):
                return False
            raise
        return bool(response.status_code == 200)

    async def close(self) -> None:
        """Close the connections."""
        await self._link.client.aclose()

    @cached_property
    def _choices(self) -> Choices:
        assert isinstance(self._encoder, LabelEncoder)
        return Choices(self._encoder)

    @cached_property
    def _stops(self) -> list[int]:
        renderer = self._encoder.renderer
        return sorted({renderer.ending[-1], renderer.tokenizer.eos_token_id} - {None})

    def _longest(self, longest: int | None, *, said: bool) -> int:
        assert isinstance(self._encoder, TextEncoder)
        if longest is None:
            return self._encoder.longest
        prefix = 0
        if not said:
            [spelled] = self._encoder.renderer.tokenizer([self._prefix], add_special_tokens=False)["input_ids"]
            prefix = len(spelled)
        return min(self._encoder.longest, longest + prefix)

    @property
    def _prefix(self) -> str:
        return str(getattr(self.guard.answers, "prefix", ""))

    def _name(self, choice: int) -> str:
        labels = self.guard.labels
        return labels.labels[labels.meaning[choice]]

    def _body(self, prompt: list[int], longest: int) -> dict[str, Any]:
        body = self._link.engine.body(continued(self._encoder, prompt), longest=longest, stops=self._stops)
        return {**body, "model": self._link.model}

    async def _scores(self, prompt: list[int]) -> ChoiceScores:
        """Walk the tree of the choices, one request for each inner node."""
        choices, engine = self._choices, self._link.engine
        bodies = [engine.with_probabilities(self._body([*prompt, *node], 1)) for node in choices.inner]
        found = await asyncio.gather(*(self._complete(body) for body in bodies))
        totals, other = np.zeros((1, len(choices.encoder.choices))), False
        for node, answer in zip(choices.inner, found, strict=True):
            wanted = choices.next_tokens(node)
            try:
                named = engine.most_likely(answer, wanted)
            except ValueError as error:
                raise upstream_failed(str(error)) from None
            if not node:
                other = named.best > max(named.logs.values(), default=-np.inf)
            for column, choice in enumerate(choices.encoder.choices):
                if len(choice) > len(node) and choice[: len(node)] == node:
                    totals[0, column] += named.logs.get(choice[len(node)], UNNAMED)
        return ChoiceScores(totals, np.array([other]))

    async def _label_by_text(self, prompt: list[int]) -> LabelAnswer:
        """For engines that tell no probabilities: what it says freely, and if that is no guarded label, restricted."""
        said = await self._complete(self._body(prompt, self._choices.longest))
        choice = self._choices.of_text(str(said.get("text", "")))
        if choice is not None:
            return LabelAnswer(self._name(choice), True)
        return LabelAnswer(self._name(await self._restricted(prompt)), False)

    async def _restricted(self, prompt: list[int]) -> int:
        """The choice an engine says when it can say nothing else."""
        choices, engine = self._choices, self._link.engine
        if engine.stepwise:
            return await self._restricted_by_step(prompt)
        body = engine.restricted(self._body(prompt, choices.longest), choices.allowed)
        said = str((await self._complete(body)).get("text", ""))
        choice = choices.of_text(said)
        if choice is None:
            raise upstream_failed("the engine did not keep to the labels", code="restriction_ignored")
        return choice

    async def _restricted_by_step(self, prompt: list[int]) -> int:
        choices, engine = self._choices, self._link.engine
        left = {c: choices.encoder.choices[c] for c in self.guard.labels.allowed}
        depth, beginning = 0, list[int]()
        while len(left) > 1:
            following = {choices.text((tokens[depth],)): tokens[depth] for tokens in left.values()}
            words = Words({word: (token,) for word, token in following.items()})
            body = engine.restricted(self._body([*prompt, *beginning], 1), words)
            said = str((await self._complete(body)).get("text", ""))
            token = next((token for word, token in following.items() if word.strip() == said.strip()), None)
            if token is None:
                raise upstream_failed("the engine did not keep to the labels", code="restriction_ignored")
            beginning.append(token)
            left = {c: tokens for c, tokens in left.items() if tokens[depth] == token}
            depth += 1
        return next(iter(left))

    async def _complete(self, body: dict[str, Any]) -> dict[str, Any]:
        """The first choice of a whole response."""
        with _translated():
            response = await _again(lambda: self._link.client.post(PATH, json=body))
        _require_ok(response.status_code)
        if len(response.content) > LARGEST_RESPONSE:
            raise upstream_failed("the engine's response is too large")
        return _first_choice(response.text)

    async def _stream(self, body: dict[str, Any]) -> AsyncGenerator[Piece, None]:
        reader, finish, tokens = EventReader(), None, 0
        with _translated():
            client = self._link.client
            request = client.build_request("POST", PATH, json={**body, "stream": True})
            response = await _again(lambda: client.send(request, stream=True))
            async with contextlib.aclosing(response):
                _require_ok(response.status_code)
                async for data in response.aiter_bytes():
                    text = ""
                    for event in reader.feed(data):
                        choice = {} if event == "[DONE]" else _first_choice(event, streamed=True)
                        finish = choice.get("finish_reason") or finish
                        text += str(choice.get("text") or "")
                        tokens += bool(choice.get("text"))
                    if text:
                        yield Piece(text, tokens)
                        tokens = 0
        if finish not in ("stop", "length"):
            raise upstream_failed("the engine broke off in the middle of its answer")
        yield Piece("", 0, finish == "stop")


async def _again(ask: Callable[[], Awaitable[httpx2.Response]]) -> httpx2.Response:
    """Ask; once more where the engine closed an idle connection just when it was to be used."""
    import httpx2

    try:
        return await ask()
    except (httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.WriteError):
        return await ask()


def _first_choice(text: str, *, streamed: bool = False) -> dict[str, Any]:
    """The first choice of a response or an event; an event without choices (usage) is an empty one."""
    try:
        body = json.loads(text)
        if streamed and isinstance(body, dict) and body.get("choices") == []:
            return {}
        choice = body["choices"][0]
        if not isinstance(choice, dict):
            raise TypeError
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        raise upstream_failed("the engine's response is none of OpenAI's") from None
    return choice


def _require_ok(status: int) -> None:
    if status == 429:
        raise ApiError(429, "the engine has too many requests", code="overloaded", headers={"Retry-After": "1"})
    if status != 200:
        raise upstream_failed(f"the engine answered with status {status}")


def _is_http(error: BaseException) -> bool:
    import httpx2

    return isinstance(error, httpx2.HTTPError | httpx2.InvalidURL | httpx2.StreamError)


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Whatever goes wrong on the way to the engine becomes an `ApiError`; what it said is in none of them."""
    try:
        yield
    except ValueError:
        raise upstream_failed("the engine's stream cannot be read") from None
    except Exception as error:
        if not _is_http(error):
            raise
        raise upstream_failed(f"the engine cannot be reached ({type(error).__name__})") from None
