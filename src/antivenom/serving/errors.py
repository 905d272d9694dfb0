"""Errors in OpenAI's shape, so that every client library raises what it would raise there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from antivenom.core.console import printable
from antivenom.core.errors import AntivenomError

TYPES = {400: "invalid_request_error", 401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}
"""OpenAI's `type` of each status; every other 4xx is an `invalid_request_error`, every 5xx an `api_error`."""


class ApiError(AntivenomError):
    """A request that gets no answer: what the client is told, and with which status."""

    def __init__(
        self,
        status: int,
        what: str,
        *,
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Say `what` is wrong.

        Args:
            status: The HTTP status.
            what: One sentence for the client; it holds no text of a request and no secret.
            code: A word that programs can compare.
            param: The field of the request that is at fault.
            headers: HTTP headers that go with it, such as `Retry-After`.
        """
        super().__init__(what)
        self.status = status
        self.code = code
        self.param = param
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        """The JSON body, which is also the event of a stream that has begun."""
        kind = TYPES.get(self.status, "api_error" if self.status >= 500 else TYPES[400])
        return {"error": {"message": self.what, "type": kind, "param": self.param, "code": self.code}}


def refused(param: str, what: str, *, code: str = "invalid_value") -> ApiError:
    """A field of a request that cannot be taken (400)."""
    return ApiError(400, f"{printable(param)[:80]}: {what}", code=code, param=printable(param)[:80])


def overloaded(what: str, *, seconds: int) -> ApiError:
    """Too many requests at a time (429); clients that wait `seconds` get through."""
    return ApiError(429, what, code="overloaded", headers={"Retry-After": str(seconds)})


def too_slow(stage: str, seconds: float) -> ApiError:
    """A stage that took longer than it may (504)."""
    return ApiError(504, f"no answer in time ({stage}: {seconds:g} s)", code="timeout")


def upstream_failed(what: str, *, code: str = "upstream_error") -> ApiError:
    """The engine behind the gateway is gone, or said what the guard cannot read (502)."""
    return ApiError(502, what, code=code)
