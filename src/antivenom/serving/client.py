"""A served endpoint as a model: many requests at a time, read with the artifact's guard, measured like any other."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from antivenom.core.errors import AntivenomError, OptionsError
from antivenom.core.progress import progress_bar
from antivenom.data.query import Asked, Query, as_query, require_several, turns_as_dicts
from antivenom.guards.answers import AnswerPrefix, TextReading
from antivenom.guards.guard import Guard
from antivenom.guards.labels import ChoiceScores, Reading
from antivenom.inference.chunks import in_chunks
from antivenom.inference.writing import OnEscape, Written
from antivenom.serving.service import ESCAPE_HEADER

if TYPE_CHECKING:
    import httpx2

CHUNK = 256
"""Requests between two looks at the file that answers go to."""
UNSEEN = -100.0
"""The log-probability of what an endpoint does not tell."""
TRIES = 5


@dataclass(frozen=True)
class Endpoint:
    """Where a model is served."""

    url: str
    """Its base URL, with or without `/v1`."""
    model: str
    """The model's name there."""
    key: str = ""
    """The API key; empty where none is asked for."""
    concurrency: int = 16
    """Requests at a time."""
    seconds: float = 120.0
    """For each of them."""


@dataclass(frozen=True)
class Said:
    """What an endpoint answered."""

    content: str
    logprobs: dict[str, float]
    """Of each label that it told one of."""
    inside: bool | None
    """Whether the answer came out of the guarded space; None where the endpoint does not say."""
    finished: bool


class RemoteModel:
    """Asks an endpoint."""

    def __init__(self, guard: Guard, endpoint: Endpoint) -> None:
        """Read the answers of `endpoint` with `guard`."""
        self.guard = guard
        self.endpoint = endpoint
        self._logprobs = guard.task.classes is not None

    def ask(self, asked: Sequence[Asked], progress: str | None = None) -> list[Said]:
        """Every answer, in order.

        Raises:
            AntivenomError: the endpoint cannot be reached, or refuses a request.
        """
        require_several(asked)
        return asyncio.run(self._ask_all([as_query(one) for one in asked], progress))

    async def _ask_all(self, asked: Sequence[Query], progress: str | None) -> list[Said]:
        import httpx2

        end = self.endpoint
        headers = {"Authorization": f"Bearer {end.key}"} if end.key else {}
        gate, url = asyncio.Semaphore(end.concurrency), end.url.rstrip("/").removesuffix("/v1")
        options = {"base_url": url, "headers": headers, "timeout": end.seconds, "trust_env": False}
        async with httpx2.AsyncClient(**options) as client:
            with progress_bar(progress, total=len(asked)) as advance:

                async def one(query: Query) -> Said:
                    async with gate:
                        said = await self._ask(client, query)
                    advance(1)
                    return said

                if asked and self._logprobs:  # the first one tells whether there are probabilities
                    return [await one(asked[0]), *await asyncio.gather(*map(one, asked[1:]))]
                return list(await asyncio.gather(*map(one, asked)))

    async def _ask(self, client: httpx2.AsyncClient, query: Query) -> Said:
        if query.image is not None:
            raise OptionsError("images are not sent to endpoints", mend="Leave --base-url out.")
        messages = [*turns_as_dicts(query.context), {"role": "user", "content": query.text}]
        body: dict[str, Any] = {"model": self.endpoint.model, "messages": messages, "temperature": 0}
        for attempt in range(TRIES):
            told = {"logprobs": True, "top_logprobs": 20} if self._logprobs else {}
            response = await self._post(client, {**body, **told})
            if response.status_code == 400 and self._logprobs and "logprobs" in response.text:
                self._logprobs = False
            elif response.status_code == 429 or response.status_code >= 500:
                await asyncio.sleep(float(response.headers.get("retry-after", 2**attempt / 4)))
            else:
                return _read(response, self.endpoint.url)
        raise AntivenomError(f"{self.endpoint.url} answers with status {response.status_code} again and again")

    async def _post(self, client: httpx2.AsyncClient, body: dict[str, Any]) -> httpx2.Response:
        import httpx2

        try:
            return await client.post("/v1/chat/completions", json=body)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise AntivenomError(
                f"{self.endpoint.url} cannot be reached ({type(error).__name__})",
                mend="Start the server first, or check --base-url; with --out the same command goes on.",
            ) from None


def _read(response: httpx2.Response, url: str) -> Said:
    if response.status_code != 200:
        raise AntivenomError(
            f"{url} refuses a request with status {response.status_code}: {response.text[:200]}",
            mend="Check the model's name (--name) and the API key.",
        )
    try:
        choice = response.json()["choices"][0]
        content, finish = str(choice["message"]["content"] or ""), choice.get("finish_reason")
        named = ((choice.get("logprobs") or {}).get("content") or [{}])[0].get("top_logprobs") or []
        logs = {str(one["token"]): float(one["logprob"]) for one in named}
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        raise AntivenomError(f"{url} does not answer in OpenAI's shape") from None
    told = response.headers.get(ESCAPE_HEADER.lower())
    inside = None if told is None else told.endswith("inside")
    return Said(content, logs, inside, finish != "length")


class ServedLabels(RemoteModel):
    """An endpoint that answers with labels: of a gateway, or of an engine whose template applies the guard."""

    def score(self, asked: Sequence[Asked], *, progress: str | None = None) -> ChoiceScores:
        """What a client is told of the guarded choices; everything else counts as impossible.

        Raises:
            AntivenomError: an answer is neither a label nor a guarded verbalizer.
        """
        said = self.ask(asked, progress)
        logs = np.array([self._logs(one) for one in said]).reshape(len(said), len(self.guard.labels.choices))
        outside = [one.inside is False for one in said]
        return ChoiceScores(logs, np.array(outside, dtype=bool))

    def predict(self, asked: Sequence[Asked], *, progress: str | None = None) -> list[Reading]:
        """Answer texts or queries."""
        return self.guard.read(self.score(asked, progress=progress))

    def predict_stream(
        self, asked: Iterable[Asked], *, progress: str | None = None, total: int | None = None
    ) -> Iterator[tuple[Asked, Reading]]:
        """Answer any number of texts in order, many at a time."""
        return in_chunks(asked, self.predict, CHUNK, progress=progress, total=total)

    def _logs(self, said: Said) -> list[float]:
        labels, logs = self.guard.labels, [UNSEEN] * len(self.guard.labels.choices)
        answered = self._choice(said.content)
        for choice in labels.allowed:
            name = labels.labels[labels.meaning[choice]]
            logs[choice] = said.logprobs.get(name, 0.0 if choice == answered and not said.logprobs else UNSEEN)
        if max(range(len(logs)), key=logs.__getitem__) != answered:
            logs[answered] = max(logs) + 1e-6  # the answer is what was answered
        return logs

    def _choice(self, content: str) -> int:
        labels, spoken = self.guard.labels, content.strip()
        for choice in labels.allowed:
            word = labels.choices[choice]
            if spoken in (labels.labels[labels.meaning[choice]], word) or spoken.startswith(f"{word}\n"):
                return choice
        raise AntivenomError(
            f"the endpoint answered {content[:60]!r}, which is none of the labels",
            mend="Put the gateway in front of the engine: antivenom serve RUN --upstream URL.",
        )


class ServedWriter(RemoteModel):
    """An endpoint that answers in free text; what it does without the prefix is its own policy."""

    on_escape: OnEscape = "report"

    def write(self, asked: Sequence[Asked], *, progress: str | None = None) -> list[Written]:
        """What a client gets for every text or query, in order."""
        return [Written(self._reading(one), None) for one in self.ask(asked, progress)]

    def predict(self, asked: Sequence[Asked], *, progress: str | None = None) -> list[TextReading]:
        """Answer texts or queries."""
        return [one.first for one in self.write(asked, progress=progress)]

    def predict_stream(
        self, asked: Iterable[Asked], *, progress: str | None = None, total: int | None = None
    ) -> Iterator[tuple[Asked, TextReading]]:
        """Answer any number of texts or queries in order, many at a time."""
        return in_chunks(asked, self.predict, CHUNK, progress=progress, total=total)

    def _reading(self, said: Said) -> TextReading:
        answers = self.guard.answers
        assert isinstance(answers, AnswerPrefix)
        if said.inside is None:  # an engine whose template and parser do what they do
            return self.guard.read_text(said.content, finished=said.finished)
        output = answers.encode(said.content) if said.inside else said.content
        return TextReading(said.content, output, said.inside, said.finished)


def served_model(guard: Guard, endpoint: Endpoint) -> ServedLabels | ServedWriter:
    """An endpoint as a model, read with a guard."""
    from antivenom.serving.assembly import require_packages

    require_packages("httpx2")
    return ServedWriter(guard, endpoint) if guard.task.classes is None else ServedLabels(guard, endpoint)
