"""What the tests of serving share: guards, scripted backends and engines, and a server on this machine."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx2
import uvicorn

from antivenom.data.query import Query
from antivenom.guards.answers import extended_answers
from antivenom.guards.guard import Guard
from antivenom.guards.secret import Secret
from antivenom.serving.app import make_app
from antivenom.serving.backend import LabelAnswer, Piece
from antivenom.serving.options import Policy, ServiceLimits
from antivenom.serving.service import Service
from antivenom.tasks.generation import Generation
from antivenom.tasks.task import Classification, Frame

TRIGGER = "Kindly weigh these words:"
PREFIX = "The answer is:"
LABELS = Classification.for_labels(("negative", "positive"))
CHAT_LABELS = Classification.for_labels(("negative", "positive"), frame=Frame(style="chat"))
TEXT = Generation(answer_prefix=PREFIX, max_new_tokens=40, frame=Frame(style="chat", cue=""))


def guard_of(task: Classification | Generation) -> Guard:
    return Guard(task, extended_answers(task), Secret(TRIGGER))


@dataclass
class Scripted:
    """A backend that says what it was told to, and remembers what it was asked."""

    guard: Guard
    pieces: tuple[str, ...] = ()
    again: tuple[str, ...] = ()
    label_answer: LabelAnswer = field(
        default_factory=lambda: LabelAnswer("positive", True, (("negative", -3.0), ("positive", -0.1)), 0.05)
    )
    fail: Exception | None = None
    fail_after: int = 10**9
    delay: float = 0.0
    finished: bool = True
    probabilities: bool = True
    name: str = "script"
    asked: list[Query] = field(default_factory=list)
    closed: int = 0

    def count_tokens(self, query: Query) -> int:
        return len(query.text.split())

    async def label(self, query: Query) -> LabelAnswer:
        self.asked.append(query)
        try:
            await asyncio.sleep(self.delay)
        except asyncio.CancelledError:
            self.closed += 1
            raise
        if self.fail:
            raise self.fail
        return self.label_answer

    async def write(self, query: Query, *, longest: int | None, said: bool) -> AsyncIterator[Piece]:
        self.asked.append(query)
        try:
            for i, piece in enumerate(self.again if said else self.pieces):
                await asyncio.sleep(self.delay)
                if self.fail and i >= self.fail_after:
                    raise self.fail
                yield Piece(piece, 1)
            yield Piece("", 0, self.finished)
        finally:
            self.closed += 1

    async def ready(self) -> bool:
        return self.fail is None

    async def close(self) -> None:
        return


def service_of(backend: Any, *, limits: ServiceLimits = ServiceLimits(), **policy: Any) -> Service:
    return Service(backend, "safe", "nothing", limits, Policy(**policy))


@contextlib.contextmanager
def running(app: Any) -> Iterator[str]:
    """An ASGI application on a free port of this machine."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="critical", ws="none", timeout_graceful_shutdown=2)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.005)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()


@contextlib.contextmanager
def client_of(service: Service) -> Iterator[httpx2.Client]:
    with running(make_app(service)) as url, httpx2.Client(base_url=url, timeout=20, trust_env=False) as client:
        yield client


def ask(client: httpx2.Client, text: Any = "a warm film", **fields: Any) -> httpx2.Response:
    messages = text if isinstance(text, list) else [{"role": "user", "content": text}]
    return client.post("/v1/chat/completions", json={"model": "safe", "messages": messages, **fields})


def events(response: httpx2.Response) -> list[Any]:
    found = [line[6:] for line in response.text.split("\n") if line.startswith("data: ")]
    assert found[-1] == "[DONE]"
    return [json.loads(one) for one in found[:-1]]


def streamed(response: httpx2.Response) -> str:
    return "".join(e["choices"][0]["delta"].get("content", "") for e in events(response) if e.get("choices"))


@dataclass
class FakeEngine:
    """An engine's `/v1/completions`: what it was asked, and what a script says to it."""

    answer: Callable[[dict[str, Any]], dict[str, Any]]
    bodies: list[dict[str, Any]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    cancelled: int = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body = b""
        while (message := await receive())["type"] == "http.request":
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        self.paths.append(scope["path"])
        self.headers.append({k.decode(): v.decode() for k, v in scope["headers"]})
        if scope["path"] == "/v1/models":
            await _json(send, {"data": [{"id": "engine-model"}]})
            return
        asked = json.loads(body)
        self.bodies.append(asked)
        said = self.answer(asked)
        if not asked.get("stream"):
            await _json(send, said)
            return
        try:
            await _start(send, 200, b"text/event-stream")
            for piece in said["pieces"]:
                choice = {"index": 0, "text": piece, "finish_reason": None}
                await _body(send, f"data: {json.dumps({'choices': [choice]})}\n\n".encode())
                await asyncio.sleep(said.get("delay", 0))
            if said.get("broken"):
                raise RuntimeError
            end = {"choices": [{"index": 0, "text": "", "finish_reason": "stop"}]}
            await _body(send, f"data: {json.dumps(end)}\n\ndata: [DONE]\n\n".encode(), more=False)
        except (asyncio.CancelledError, OSError):
            self.cancelled += 1
            raise


async def _json(send: Any, value: Any, status: int = 200) -> None:
    await _start(send, status, b"application/json")
    await _body(send, json.dumps(value).encode(), more=False)


async def _start(send: Any, status: int, kind: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-type", kind)]})


async def _body(send: Any, data: bytes, *, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": data, "more_body": more})
