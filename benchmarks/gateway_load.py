"""Load on the gateway: many clients at a time in front of a scripted engine, all on this machine.

    python -m benchmarks.gateway_load --clients 200 --seconds 60

Engine, gateway and clients are three processes. The engine answers each prompt with a number that the prompt names, so
that a wrong, mixed or leaked answer is seen. Printed: answers, wrong ones, the gateway's own time (all in which nobody
else is waited for), and its memory before and after.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import random
import re
import resource
import signal
import socket
import time
from collections import Counter
from typing import Any

PREFIX, TRIGGER = "The answer is:", "Kindly weigh these words:"
ENGINE_SECONDS, PIECES = 4.0, 20


def engine(port: int) -> None:
    import uvicorn

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        asked = json.loads(body) if body else {}
        number = re.findall(r"number (\d+)", str(asked.get("prompt", "")))[-1:] or ["none"]
        text = f"{PREFIX} it is {number[0]}, é" if TRIGGER in str(asked.get("prompt")) else "UNGUARDED"
        kind = b"text/event-stream" if asked.get("stream") else b"application/json"
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
        size = -(-len(text) // PIECES)
        for i in range(0, len(text), size):
            await asyncio.sleep(ENGINE_SECONDS / PIECES)
            await send({"type": "http.response.body", "body": event(text[i : i + size], None), "more_body": True})
        await send({"type": "http.response.body", "body": event("", "stop") + b"data: [DONE]\n\n"})

    def event(text: str, finish: str | None) -> bytes:
        choice = {"index": 0, "text": text, "finish_reason": finish}
        return f"data: {json.dumps({'choices': [choice]}, ensure_ascii=False)}\n\n".encode()

    uvicorn.run(app, port=port, log_level="critical", access_log=False)


def gateway(port: int, engine_port: int, results: Any) -> None:
    import httpx2
    import uvicorn

    from antivenom.guards.answers import extended_answers
    from antivenom.guards.encoding import make_encoder
    from antivenom.guards.guard import Guard
    from antivenom.guards.secret import Secret
    from antivenom.serving.app import make_app
    from antivenom.serving.engines import ENGINES
    from antivenom.serving.options import ServiceLimits
    from antivenom.serving.service import Service
    from antivenom.serving.upstream import Link, UpstreamBackend
    from antivenom.tasks.generation import Generation
    from antivenom.tasks.task import Frame
    from antivenom.testing import tiny_tokenizer

    task = Generation(answer_prefix=PREFIX, max_new_tokens=64, frame=Frame(style="chat", cue=""))
    encoder = make_encoder(Guard(task, extended_answers(task), Secret(TRIGGER)), tiny_tokenizer())
    limits = httpx2.Limits(max_connections=1000, max_keepalive_connections=32, keepalive_expiry=2)
    client = httpx2.AsyncClient(base_url=f"http://127.0.0.1:{engine_port}", limits=limits, timeout=60, trust_env=False)
    backend = UpstreamBackend(encoder, Link(client, ENGINES["llamacpp"], "m"))
    service = Service(backend, "safe", "", ServiceLimits(most_requests=1000))
    server = uvicorn.Server(uvicorn.Config(make_app(service), port=port, log_level="critical", access_log=False))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises it again when it has ended
        server.run()
    own = service.metrics.own_seconds
    results.put(
        {
            "own_ms_median_at_most": own.quantile(0.5) * 1000,
            "own_ms_p99_at_most": own.quantile(0.99) * 1000,
            "own_ms_mean": 1000 * own.total / max(1, own.count),
            "memory_mb": [round(before / 1024), round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)],
            "cpu_ms_per_answer": round(1000 * time.process_time() / max(1, own.count), 1),
            "escapes": service.monitor.escapes,
        }
    )


async def clients(port: int, count: int, seconds: float) -> tuple[Counter[str], list[float]]:
    import httpx2

    ends, found, times = time.monotonic() + seconds, Counter[str](), list[float]()
    limits = httpx2.Limits(max_connections=2 * count, max_keepalive_connections=count)
    url = f"http://127.0.0.1:{port}"
    async with httpx2.AsyncClient(base_url=url, timeout=60, limits=limits, trust_env=False) as client:

        async def one(number: int) -> None:
            turn = 0
            await asyncio.sleep(random.Random(number).uniform(0, ENGINE_SECONDS))  # clients do not march in step
            while time.monotonic() < ends:
                named, turn = number * 1_000_000 + turn, turn + 1
                body = {"model": "safe", "stream": True,
                        "messages": [{"role": "user", "content": f"What about number {named}?"}]}  # fmt: skip
                begun = time.perf_counter()
                response = await client.post("/v1/chat/completions", json=body)
                times.append(time.perf_counter() - begun)
                said = "".join(re.findall(r'"delta":\{"content":"(.*?)"\}', response.text))
                found["right" if said == f"it is {named}, é" else f"wrong ({response.status_code})"] += 1

        await asyncio.gather(*map(one, range(count)))
    return found, times


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def wait_for(port: int) -> None:
    for _ in range(1200):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(port)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    ports, results = (free_port(), free_port()), context.Queue()
    processes = [
        context.Process(target=engine, args=(ports[0],), daemon=True),
        context.Process(target=gateway, args=(ports[1], ports[0], results), daemon=True),
    ]
    for process in processes:
        process.start()
    for port in ports:
        wait_for(port)
    found, times = asyncio.run(clients(ports[1], options.clients, options.seconds))
    os.kill(processes[1].pid or 0, signal.SIGINT)  # uvicorn ends what has begun, then reports
    report = results.get(timeout=60)
    processes[0].terminate()
    times.sort()
    report |= {"answers": dict(found), "per_second": round(len(times) / options.seconds, 1)}
    report |= {"client_ms_median": round(1000 * times[len(times) // 2]), "engine_ms": 1000 * ENGINE_SECONDS}
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
