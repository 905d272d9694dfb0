"""One HTTP exchange over ASGI: a bounded body in, bytes out, and an end to the work when the client has gone."""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from typing import Any

from antivenom.serving.errors import ApiError
from antivenom.serving.options import ServiceLimits

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class ClientGoneError(Exception):
    """The client closed the connection, or takes nothing any more."""


class Exchange:
    """The request and the response of one client."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, limits: ServiceLimits) -> None:
        """Take what an ASGI server gives."""
        self._receive = receive
        self._send = send
        self._limits = limits
        self._headers = [(name.lower().decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        asked = self.header_values("x-request-id")
        kept = asked[0] if len(asked) == 1 and REQUEST_ID.fullmatch(asked[0]) else ""
        self.id = kept or uuid.uuid4().hex
        self.begun = False
        """Whether the response has."""
        self.status = 0
        self.headers: dict[str, str] = {}
        """Headers that the response will have."""

    def header_values(self, name: str) -> list[str]:
        """Every value of a header."""
        return [value for key, value in self._headers if key == name]

    async def body(self) -> bytes:
        """The whole body of the request.

        Raises:
            ApiError: it is too large, too slow, or not plain JSON.
            ClientGoneError: it never ended.
        """
        self._require_plain_json()
        found = bytearray()
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                while True:
                    message = await self._receive()
                    if message["type"] == "http.disconnect":
                        raise ClientGoneError
                    found += message.get("body", b"")
                    if len(found) > self._limits.most_bytes:
                        raise self._too_large()
                    if not message.get("more_body"):
                        return bytes(found)
        except TimeoutError:
            raise ApiError(408, "the request did not arrive in time", code="timeout") from None

    async def until_gone(self, work: Coroutine[Any, Any, None]) -> None:
        """Do the work; cancel it at once when the client goes.

        Raises:
            ClientGoneError: the client went first.
        """
        working, watching = asyncio.create_task(work), asyncio.create_task(self._gone())
        try:
            await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
            if not working.done():
                raise ClientGoneError
            await working
        finally:
            for task in (working, watching):
                task.cancel()
            await asyncio.gather(working, watching, return_exceptions=True)

    async def json(self, status: int, value: dict[str, Any]) -> None:
        """Answer with JSON."""
        await self.whole(status, json.dumps(value, ensure_ascii=False).encode(), "application/json")

    async def whole(self, status: int, body: bytes, content_type: str) -> None:
        """Answer at once."""
        await self.begin(status, content_type, length=len(body))
        await self.write(body, last=True)

    async def begin(self, status: int, content_type: str, *, length: int | None = None) -> None:
        """Send the status and the headers."""
        headers = {"Content-Type": content_type, "X-Request-Id": self.id, **self.headers}
        if length is not None:
            headers["Content-Length"] = str(length)
        else:
            headers |= {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        self.begun, self.status = True, status
        await self._in_time({"type": "http.response.start", "status": status, "headers": raw})

    async def write(self, data: bytes, *, last: bool = False) -> None:
        """Send some of the body.

        Raises:
            ClientGoneError: the client did not take it in time.
        """
        await self._in_time({"type": "http.response.body", "body": data, "more_body": not last})

    async def _in_time(self, message: Message) -> None:
        try:
            async with asyncio.timeout(self._limits.send_seconds):
                await self._send(message)
        except TimeoutError:
            raise ClientGoneError from None
        except OSError:
            raise ClientGoneError from None

    async def _gone(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    def _require_plain_json(self) -> None:
        length = self.header_values("content-length")
        if length and length[0].isdigit() and int(length[0][:20]) > self._limits.most_bytes:
            raise self._too_large()
        kinds = [value.partition(";")[0].strip().lower() for value in self.header_values("content-type")]
        if kinds != ["application/json"]:
            raise ApiError(415, "expected Content-Type: application/json", code="unsupported_media_type")
        if self.header_values("content-encoding"):
            raise ApiError(415, "compressed requests are not read", code="unsupported_media_type")

    def _too_large(self) -> ApiError:
        return ApiError(413, f"the request has more than {self._limits.most_bytes} bytes", code="request_too_large")
