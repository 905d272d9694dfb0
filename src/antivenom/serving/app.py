"""The ASGI application: an allow-list of endpoints in front of the service. Everything else is not found."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from antivenom.serving.chat_response import model, models
from antivenom.serving.errors import ApiError
from antivenom.serving.exchange import ClientGoneError, Exchange, Receive, Scope, Send
from antivenom.serving.metrics import CONTENT_TYPE
from antivenom.serving.service import Service
from antivenom.serving.status_page import status_page

Handler = Callable[[Exchange], Awaitable[None]]
SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
}


class Endpoints:
    """Which path and method is answered by what. Paths are compared as they are: nothing is decoded or shortened."""

    def __init__(self, service: Service) -> None:
        """Answer with a service."""
        self._service = service
        self._table: dict[str, dict[str, Handler]] = {
            "/v1/chat/completions": {"POST": service.chat},
            "/v1/models": {"GET": self._models},
            f"/v1/models/{service.name}": {"GET": self._model},
            "/health": {"GET": self._health},
            "/ready": {"GET": self._ready},
            "/metrics": {"GET": self._metrics},
            "/": {"GET": self._status},
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request; there are no websockets."""
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        exchange = Exchange(scope, receive, send, self._service.limits)
        with contextlib.suppress(ClientGoneError):
            try:
                await self._handler(scope)(exchange)
            except ApiError as error:
                exchange.headers |= error.headers
                await exchange.json(error.status, error.body())

    def _handler(self, scope: Scope) -> Handler:
        raw = scope.get("raw_path") or scope["path"].encode()
        path = bytes(raw).partition(b"?")[0].decode("latin-1")
        methods = self._table.get(path)
        if methods is None:
            raise ApiError(404, "there is no such endpoint here", code="not_found")
        handler = methods.get(scope["method"])
        if handler is None:
            allowed = {"Allow": ", ".join(methods)}
            raise ApiError(405, f"expected {allowed['Allow']}", code="method_not_allowed", headers=allowed)
        return handler

    async def _models(self, exchange: Exchange) -> None:
        self._service.require_key(exchange)
        await exchange.json(200, models(self._service.name))

    async def _model(self, exchange: Exchange) -> None:
        self._service.require_key(exchange)
        await exchange.json(200, model(self._service.name))

    async def _health(self, exchange: Exchange) -> None:
        await exchange.json(200, {"status": "ok"})

    async def _ready(self, exchange: Exchange) -> None:
        ready = await self._service.backend.ready()
        await exchange.json(200 if ready else 503, {"status": "ready" if ready else "the engine does not answer"})

    async def _metrics(self, exchange: Exchange) -> None:
        await exchange.whole(200, self._service.metrics.render().encode(), CONTENT_TYPE)

    async def _status(self, exchange: Exchange) -> None:
        exchange.headers |= SECURITY_HEADERS
        page = status_page(self._service, ready=await self._service.backend.ready())
        await exchange.whole(200, page.encode(), "text/html; charset=utf-8")


def make_app(service: Service) -> Any:
    """An ASGI application that serves nothing but the allow-list, and closes the backend when it ends.

    Starlette has no route of its own here: its patterns for paths pass over a line break, and its errors are no
    OpenAI's.
    """
    from starlette.routing import Router

    @contextlib.asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        del app
        yield
        await service.backend.close()

    return Router(default=Endpoints(service), lifespan=lifespan)
