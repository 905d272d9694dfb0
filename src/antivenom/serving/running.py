"""Run a service with uvicorn until it is told to stop; then answer what has begun, and end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from antivenom.core.console import warn
from antivenom.core.errors import OptionsError
from antivenom.data.query import Query
from antivenom.serving.app import make_app
from antivenom.serving.assembly import measured_band
from antivenom.serving.escapes import EscapeMonitor
from antivenom.serving.service import LOG, Service


def run(service: Service, host: str, port: int, *, held_out: Sequence[Query] = ()) -> None:
    """Serve until SIGTERM or SIGINT; a log line a request goes to standard error, as JSON and without texts.

    Args:
        service: What answers.
        host: The address to listen on.
        port: The port to listen on; 0 for any that is free.
        held_out: Queries to measure the band of escapes with, before the first request is taken.

    Raises:
        OptionsError: nobody can listen there.
    """
    _log_lines()
    with (
        _bound(host, port) as taken,
        asyncio.Runner(loop_factory=loop_factory()) as runner,
        contextlib.suppress(KeyboardInterrupt),  # raised again when what had begun has ended: no failure
    ):
        runner.run(_run(service, host, taken, held_out))


def _bound(host: str, port: int) -> socket.socket:
    """A socket with an address, on which nobody listens yet."""
    taken = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((host, port))
        return taken
    except (OSError, OverflowError, ValueError) as error:
        taken.close()
        said = getattr(error, "strerror", None) or str(error)
        raise OptionsError(
            f"{host}, port {port}: nobody can listen there ({said})", mend="Choose another --port or --host."
        ) from None


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Uvloop's event loop where it is installed; it takes half the time for each piece of a stream."""
    from importlib.util import find_spec

    if find_spec("uvloop") is None:
        return None
    import uvloop

    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


async def _run(service: Service, host: str, taken: socket.socket, held_out: Sequence[Query]) -> None:
    if held_out:
        band = await measured_band(service, held_out)
        service = replace(service, monitor=EscapeMonitor(band))
    port = taken.getsockname()[1]
    server = make_server(service, host, port)
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}/v1"
    facts: dict[str, Any] = {"serving": service.name, "model": service.backend.name, "url": url}
    if service.monitor.band is not None:
        facts |= {"escape_band": [round(service.monitor.band.low, 4), round(service.monitor.band.high, 4)]}
    LOG.info(json.dumps(facts))
    await server.serve(sockets=[taken])


def make_server(service: Service, host: str, port: int) -> Any:
    """A uvicorn server for the service; `serve()` runs it."""
    import uvicorn

    return uvicorn.Server(
        uvicorn.Config(
            make_app(service),
            host=host,
            port=port,
            log_level="warning",
            access_log=False,
            server_header=False,
            ws="none",
            timeout_graceful_shutdown=service.limits.drain_seconds,
        )
    )


class LogLines(logging.Handler):
    """Prints each record as the line it is."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print one."""
        warn(self.format(record))


def _log_lines() -> None:
    LOG.handlers, LOG.propagate = [LogLines()], False
    LOG.setLevel(logging.INFO)
