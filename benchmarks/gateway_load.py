"""Load on the gateway: many clients at a time in front of a scripted engine, all on this machine.

    python -m benchmarks.gateway_load --clients 200 --seconds 60

Engine, gateway and clients are three processes. The engine answers each prompt with a number that the prompt names, so
that a wrong, mixed or leaked answer is seen, and with the times at which it got the request and sent its last piece.
It says its first word after 0.2 to 1 s, as models do, and then `--pieces` pieces, one every `--between` seconds.

Printed: answers by kind; the gateway's own time, which is all of a request in which nobody else is waited for, as the
service itself logs it; what the gateway adds for a client, which is the client's time less the engine's, and so holds
the gateway, all that waits in queues on the way, and the work of the scripted engine and client; processor time an
answer; memory at the start, in the middle and at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import multiprocessing
import os
import random
import re
import signal
import socket
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PREFIX, TRIGGER = "The answer is:", "Kindly weigh these words:"
FIRST_WORD = (0.2, 1.0)
"""Seconds until the engine says something; drawn for each request."""


@dataclass(frozen=True)
class Pace:
    """How the engine and the clients behave."""

    pieces: int
    """In how many the engine says its answer."""
    between: float
    """Seconds between two of them."""
    think: float
    """Seconds, on average, that a client waits before it asks again."""


def engine(port: int, pace: Pace) -> None:
    """Continue prompts at `/v1/completions`, in Server-Sent Events."""

    def event(text: str, finish: str | None = None) -> bytes:
        choice = {"index": 0, "text": text, "finish_reason": finish}
        data = f"data: {json.dumps({'choices': [choice]}, ensure_ascii=False)}\n\n".encode()
        return b"%x\r\n%b\r\n" % (len(data), data)

    async def answer(body: bytes, writer: asyncio.StreamWriter) -> None:
        got, prompt = time.monotonic(), json.loads(body)["prompt"]
        number = int((re.findall(r"number (\d+)", prompt) or [0])[-1])
        text = f"{PREFIX} it is {number}, é" if TRIGGER in prompt else "UNGUARDED"
        words = [text[i * len(text) // pace.pieces : (i + 1) * len(text) // pace.pieces] for i in range(pace.pieces)]
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        await asyncio.sleep(random.Random(number).uniform(*FIRST_WORD))
        for word in words:
            writer.write(event(word))
            await asyncio.sleep(pace.between)
        writer.write(event(f" [{got} {time.monotonic()}]") + event("", "stop") + b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
                await answer(await reader.readexactly(int(length[1]) if length else 0), writer)
        writer.close()

    async def serve() -> None:
        server = await asyncio.start_server(connected, "127.0.0.1", port, backlog=1024)
        await server.serve_forever()

    _run(serve())


class Lines(logging.Handler):
    """Keeps what the service logs of each request."""

    def __init__(self) -> None:
        super().__init__()
        self.own: list[float] = []

    def emit(self, record: logging.LogRecord) -> None:
        own = json.loads(record.getMessage()).get("own_ms")
        if own is not None:
            self.own.append(own)


def gateway(port: int, engine_port: int, profile: str, results: Any) -> None:
    from antivenom.guards.answers import extended_answers
    from antivenom.guards.encoding import make_encoder
    from antivenom.guards.guard import Guard
    from antivenom.guards.secret import Secret
    from antivenom.serving.assembly import Upstream, connect
    from antivenom.serving.options import ServiceLimits
    from antivenom.serving.running import make_server
    from antivenom.serving.service import LOG, Service
    from antivenom.serving.upstream import UpstreamBackend
    from antivenom.tasks.generation import Generation
    from antivenom.tasks.task import Frame
    from antivenom.testing import tiny_tokenizer

    task = Generation(answer_prefix=PREFIX, max_new_tokens=64, frame=Frame(style="chat", cue=""))
    encoder = make_encoder(Guard(task, extended_answers(task), Secret(TRIGGER)), tiny_tokenizer())
    limits, lines = ServiceLimits(most_requests=1000), Lines()
    link = connect(Upstream(f"http://127.0.0.1:{engine_port}", "llamacpp", "m"), most_requests=1000)
    service = Service(UpstreamBackend(encoder, link), "safe", "", limits)
    server = make_server(service, "127.0.0.1", port)
    LOG.handlers, LOG.propagate = [lines], False
    LOG.setLevel(logging.INFO)
    begun, profiler = time.process_time(), None
    if profile:
        import cProfile

        profiler = cProfile.Profile()
        profiler.enable()
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn raises it again when it has ended
        _run(server.serve())
    if profiler is not None:
        profiler.dump_stats(profile)
    used = time.process_time() - begun
    results.put(
        {
            "own_ms": quantiles(lines.own),
            "gateway_cpu_ms_per_answer": round(1000 * used / max(1, len(lines.own)), 2),
            "escapes": service.monitor.escapes,
        }
    )


def _run(work: Any) -> None:
    """Run on uvloop's event loop, as `antivenom serve` does where it is installed."""
    from antivenom.serving.running import loop_factory

    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(work)


@dataclass
class Seen:
    """What the clients saw."""

    answers: Counter[str] = field(default_factory=Counter)
    added: list[float] = field(default_factory=list)
    """Milliseconds of a client's time that were not the engine's."""
    whole: list[float] = field(default_factory=list)
    """Milliseconds from the request to the last byte."""


async def clients(port: int, count: int, seconds: float, pace: Pace, seen: Seen) -> None:
    ends = time.monotonic() + seconds

    async def ask(named: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        turns = [{"role": "user", "content": f"What about number {named}?"}]
        body = json.dumps({"model": "safe", "stream": True, "messages": turns}).encode()
        head = "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        sent = time.monotonic()
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        answer = (await asyncio.wait_for(reader.readuntil(b"\r\n0\r\n\r\n"), 60)).decode()
        got = time.monotonic()
        said = "".join(re.findall(r'"delta":\{"content":"(.*?)"\}', answer))
        right = re.fullmatch(rf"it is {named}, é \[([\d.]+) ([\d.]+)\]", said)
        seen.answers["right" if right else f"wrong: {said[:40] or answer[:40]!r}"] += 1
        if right:
            seen.whole.append(1000 * (got - sent))
            seen.added.append(1000 * (got - sent - (float(right[2]) - float(right[1]))))

    async def one(number: int) -> None:
        draw, turn = random.Random(number), 0
        await asyncio.sleep(draw.uniform(0, FIRST_WORD[1] + pace.pieces * pace.between))  # they do not march in step
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
        while time.monotonic() < ends:
            named, turn = number * 1_000_000 + turn, turn + 1
            try:
                await ask(named, reader, writer)
            except (TimeoutError, asyncio.IncompleteReadError, ConnectionError) as error:
                seen.answers[f"wrong: {type(error).__name__}"] += 1
                return
            await asyncio.sleep(draw.uniform(0, 2 * pace.think))
        writer.close()

    await asyncio.gather(*map(one, range(count)))


async def load(options: argparse.Namespace, pace: Pace, port: int, gateway_process: int) -> tuple[Seen, list[float]]:
    seen, memory = Seen(), [resident_mb(gateway_process)]

    async def look() -> None:
        for _ in range(2):
            await asyncio.sleep(options.seconds / 2)
            memory.append(resident_mb(gateway_process))

    await asyncio.gather(clients(port, options.clients, options.seconds, pace, seen), look())
    return seen, memory


def resident_mb(process: int) -> float:
    kilobytes = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{process}/status").read_text())
    return round(int(kilobytes[1]) / 1024, 1) if kilobytes else 0.0


def quantiles(values: list[float]) -> dict[str, float]:
    ordered = sorted(values) or [float("nan")]
    return {name: round(ordered[int(share * (len(ordered) - 1))], 2)
            for name, share in (("median", 0.5), ("p90", 0.9), ("p99", 0.99), ("most", 1.0))}  # fmt: skip


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
    parser.add_argument("--pieces", type=int, default=20)
    parser.add_argument("--between", type=float, default=0.1)
    parser.add_argument("--think", type=float, default=0.0)
    parser.add_argument("--profile", default="", help="a file for cProfile's statistics of the gateway")
    options = parser.parse_args()
    pace = Pace(options.pieces, options.between, options.think)
    context = multiprocessing.get_context("spawn")
    ports, results = (free_port(), free_port()), context.Queue()
    processes = [
        context.Process(target=engine, args=(ports[0], pace), daemon=True),
        context.Process(target=gateway, args=(ports[1], ports[0], options.profile, results), daemon=True),
    ]
    for process in processes:
        process.start()
    for port in ports:
        wait_for(port)
    used = time.process_time()
    seen, memory = asyncio.run(load(options, pace, ports[1], processes[1].pid or 0))
    used = time.process_time() - used
    os.kill(processes[1].pid or 0, signal.SIGINT)  # uvicorn ends what has begun, then reports
    report = results.get(timeout=60)
    processes[0].terminate()
    report |= {"answers": dict(seen.answers), "per_second": round(sum(seen.answers.values()) / options.seconds, 1)}
    report |= {"added_ms": quantiles(seen.added), "whole_ms": quantiles(seen.whole), "memory_mb": memory}
    report |= {"other_load": round(os.getloadavg()[0], 1), "clients_cpu_share": round(used / options.seconds, 2)}
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
