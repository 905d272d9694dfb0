"""How much more the service answers when many clients ask at a time: labels of a model on this machine.

    python -m benchmarks.label_service RUN ROWS.jsonl --clients 64 --seconds 20

`antivenom serve RUN` runs in a process of its own. One client asks for one label after another; then many do, each one
after another. Both ask the same rows, alternating in rounds, so that whatever else the machine does hits both alike.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import subprocess
import sys
import time
from pathlib import Path

import httpx2

from benchmarks.gateway_load import free_port, wait_for

ROUNDS = 3


async def throughput(port: int, name: str, texts: list[str], clients: int, seconds: float) -> tuple[int, float]:
    """Answers, and the seconds they took."""
    url, begun, answers = f"http://127.0.0.1:{port}", time.perf_counter(), 0
    asked = itertools.cycle(texts)
    async with httpx2.AsyncClient(base_url=url, timeout=300, trust_env=False) as client:

        async def one() -> None:
            nonlocal answers
            while time.perf_counter() - begun < seconds:
                body = {"model": name, "messages": [{"role": "user", "content": next(asked)}]}
                response = await client.post("/v1/chat/completions", json=body)
                response.raise_for_status()
                answers += 1

        await asyncio.gather(*(one() for _ in range(clients)))
    return answers, time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run")
    parser.add_argument("rows")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=20.0, help="for each of the two, over all rounds")
    options = parser.parse_args()
    texts = [json.loads(line)["text"] for line in Path(options.rows).read_text().splitlines()]
    port, name = free_port(), Path(options.run).resolve().name
    command = [sys.executable, "-m", "antivenom", "serve", options.run, "--port", str(port)]
    server = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    found = {1: [0, 0.0], options.clients: [0, 0.0]}
    try:
        wait_for(port)
        asyncio.run(throughput(port, name, texts, 1, 1.0))  # the first answers are slower
        for _ in range(ROUNDS):
            for clients, (answers, seconds) in found.items():
                more = asyncio.run(throughput(port, name, texts, clients, options.seconds / ROUNDS))
                found[clients] = [answers + more[0], seconds + more[1]]
    finally:
        server.terminate()
        server.wait(60)
    rates = {clients: answers / seconds for clients, (answers, seconds) in found.items()}
    one, many = rates[1], rates[options.clients]
    print(json.dumps({"one_at_a_time": round(one, 2), f"{options.clients}_clients": round(many, 2),
                      "ratio": round(many / one, 2)}))  # fmt: skip


if __name__ == "__main__":
    main()
