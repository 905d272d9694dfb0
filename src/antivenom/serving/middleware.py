"""The gateway inside an engine's process: `vllm serve DIR --middleware antivenom.serving.middleware.GuardMiddleware`.

vLLM makes the class without arguments, so the artifact comes from the environment: ANTIVENOM_RUN is its folder,
ANTIVENOM_API_KEYS its clients' keys, ANTIVENOM_ON_ESCAPE the policy. Every request passes through here, and nothing
but the guarded endpoints is let through to the engine.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, get_args

import httpx2

from antivenom.artifacts.artifact import load_artifact
from antivenom.core.errors import OptionsError
from antivenom.inference.writing import OnEscape
from antivenom.serving.app import Endpoints
from antivenom.serving.assembly import encoder_of, is_guarded, read_keys
from antivenom.serving.engines import ENGINES
from antivenom.serving.exchange import Receive, Scope, Send
from antivenom.serving.options import Policy
from antivenom.serving.service import Service
from antivenom.serving.upstream import Link, UpstreamBackend

RUN_VARIABLE, MODEL_VARIABLE = "ANTIVENOM_RUN", "ANTIVENOM_ENGINE_MODEL"
ESCAPE_VARIABLE = "ANTIVENOM_ON_ESCAPE"
App = Callable[[Scope, Receive, Send], Any]


class GuardMiddleware:
    """ASGI middleware: the allow-list of the gateway in front of the application of an engine."""

    def __init__(self, app: App) -> None:
        """Wrap the engine's application.

        Raises:
            OptionsError: the environment does not say which artifact, or the artifact has no guard.
        """
        self._app = app
        run = os.environ.get(RUN_VARIABLE, "")
        if not run:
            raise OptionsError(f"{RUN_VARIABLE} is not set", mend="Set it to the artifact's folder.")
        artifact = load_artifact(run)
        if not is_guarded(artifact.guard):
            raise OptionsError(f"{run} has no guard: it was trained without a defense")
        name = Path(run).resolve().name
        client = httpx2.AsyncClient(transport=AppTransport(app), base_url="http://engine", timeout=None)
        link = Link(client, ENGINES["vllm"], os.environ.get(MODEL_VARIABLE) or name)
        backend = UpstreamBackend(encoder_of(artifact), link)
        policy = Policy(on_escape=_on_escape(os.environ.get(ESCAPE_VARIABLE, "withhold")))
        verified = "the prompts: they are written in the engine's own process"
        self._endpoints = Endpoints(Service(backend, name, verified, policy=policy, keys=read_keys(None)))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer every request here; only the server's own start and end go on to the engine."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        else:
            await self._endpoints(scope, receive, send)


def _on_escape(value: str) -> OnEscape:
    for known in get_args(OnEscape):
        if value == known:
            return known  # type: ignore[no-any-return]
    raise OptionsError(f"{ESCAPE_VARIABLE} = {value!r}", mend=f"Use one of {', '.join(get_args(OnEscape))}.")


class AppTransport(httpx2.AsyncBaseTransport):
    """Sends requests to an application in this process, and hands its answer on while it comes."""

    def __init__(self, app: App) -> None:
        """Talk to `app`."""
        self._app = app

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Start the application on a request; return when its headers are there."""
        call = _Call(self._app, _scope(request), await request.aread())
        status, headers = await call.start()
        return httpx2.Response(status, headers=headers, stream=_Body(call))


class _Call:
    """One request that an application answers in a task of its own."""

    def __init__(self, app: App, scope: Scope, body: bytes) -> None:
        self._messages: asyncio.Queue[Any] = asyncio.Queue(8)
        self._body: bytes | None = body
        self._gone = asyncio.Event()
        self._task = asyncio.create_task(self._run(app, scope))

    async def start(self) -> tuple[int, list[tuple[bytes, bytes]]]:
        message = await self._next()
        if message is None:
            raise httpx2.RemoteProtocolError("the application did not answer")
        return int(message["status"]), list(message.get("headers", []))

    async def chunks(self) -> AsyncIterator[bytes]:
        while (message := await self._next()) is not None:
            yield message.get("body", b"")
            if not message.get("more_body"):
                return

    async def close(self) -> None:
        self._gone.set()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _next(self) -> Any:
        return await self._messages.get()

    async def _run(self, app: App, scope: Scope) -> None:
        try:
            await app(scope, self._receive, self._messages.put)
        finally:
            self._messages.put_nowait(None) if not self._messages.full() else None

    async def _receive(self) -> dict[str, Any]:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}


class _Body(httpx2.AsyncByteStream):
    """The body of an application's answer; closing it tells the application that the client has gone."""

    def __init__(self, call: _Call) -> None:
        self._call = call

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._call.chunks():
            yield chunk

    async def aclose(self) -> None:
        await self._call.close()


def _scope(request: httpx2.Request) -> Scope:
    path = request.url.path
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "server": ("engine", 80),
        "client": ("gateway", 0),
    }
