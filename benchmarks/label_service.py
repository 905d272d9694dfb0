"""How much more the service answers when many clients ask at a time: labels of a model on this machine.

    python -m benchmarks.label_service RUN ROWS.jsonl --clients 32 64 --seconds 30

`antivenom serve RUN` runs in a process of its own. One client asks for one label after another; then many do, each one
after another. All ask the same rows, alternating in rounds, so that whatever else the machine does hits all alike; and
the same again with the first words of each row alone. Every row must get one answer, however many ask beside it. The
record goes to `results/bench`.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import itertools
import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from antivenom.core.files import write_json
from benchmarks.gateway_load import free_port, wait_for
from benchmarks.harness import machine

ROUNDS = 3
SHORT = 6
"""Words of a short text."""


@dataclass
class Asked:
    """What some clients got, over all rounds."""

    answers: int = 0
    seconds: float = 0.0
    processor: float = 0.0
    """Seconds of the service's processor time."""
    said: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """The answers to each text."""

    def facts(self) -> dict[str, float]:
        """Figures of a table."""
        rate, each = self.answers / self.seconds, 1000 * self.processor / self.answers
        return {"answers": self.answers, "per_second": round(rate, 3), "processor_ms": round(each, 2)}


@dataclass(frozen=True)
class Server:
    """A running service."""

    port: int
    name: str
    pid: int

    def processor(self) -> float:
        """Seconds of processor time so far (Linux)."""
        numbers = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(numbers[11]) + int(numbers[12])) / os.sysconf("SC_CLK_TCK")

    async def ask(self, texts: list[str], clients: int, seconds: float, found: Asked) -> None:
        """Let clients ask for so long; each waits for its answer before it asks again."""
        begun, before, asked = time.perf_counter(), self.processor(), itertools.cycle(texts)
        url = f"http://127.0.0.1:{self.port}"
        async with httpx2.AsyncClient(base_url=url, timeout=300, trust_env=False) as client:

            async def one() -> None:
                while time.perf_counter() - begun < seconds:
                    text = next(asked)
                    body = {"model": self.name, "messages": [{"role": "user", "content": text}]}
                    response = await client.post("/v1/chat/completions", json=body)
                    response.raise_for_status()
                    found.said[text].add(response.json()["choices"][0]["message"]["content"])
                    found.answers += 1

            await asyncio.gather(*(one() for _ in range(clients)))
        found.seconds += time.perf_counter() - begun
        found.processor += self.processor() - before


def measure(server: Server, texts: list[str], clients: list[int], seconds: float) -> dict[str, Any]:
    """The figures of one and of many clients, and how they compare."""
    found = {count: Asked() for count in (1, *clients)}
    asyncio.run(server.ask(texts, clients[-1], 1.0, Asked()))  # the first answers are slower
    for _ in range(ROUNDS):
        for count, asked in found.items():
            asyncio.run(server.ask(texts, count, seconds / ROUNDS, asked))
    said: dict[str, set[str]] = defaultdict(set)
    for text, answers in itertools.chain.from_iterable(asked.said.items() for asked in found.values()):
        said[text] |= answers
    one = found[1].facts()
    lines = {str(count): asked.facts() for count, asked in found.items()}
    for line in lines.values():
        line["times_as_many"] = round(line["per_second"] / one["per_second"], 2)
        line["times_less_processor"] = round(one["processor_ms"] / line["processor_ms"], 2)
    return {"clients": lines, "texts_with_two_answers": sum(len(answers) > 1 for answers in said.values())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run")
    parser.add_argument("rows")
    parser.add_argument("--clients", type=int, nargs="+", default=[32, 64])
    parser.add_argument("--seconds", type=float, default=30.0, help="for each number of clients, over all rounds")
    options = parser.parse_args()
    whole = [json.loads(line)["text"] for line in Path(options.rows).read_text().splitlines()]
    short = list(dict.fromkeys(" ".join(text.split()[:SHORT]) for text in whole))
    port, name = free_port(), Path(options.run).resolve().name
    process = subprocess.Popen(
        [sys.executable, "-m", "antivenom", "serve", options.run, "--port", str(port)], stderr=subprocess.DEVNULL
    )
    try:
        wait_for(port)
        server = Server(port, name, process.pid)
        found = {
            kind: {"words": sum(len(text.split()) for text in texts) / len(texts)}
            | measure(server, texts, options.clients, options.seconds)
            for kind, texts in (("whole", whole), ("short", short))
        }
    finally:
        process.terminate()
        process.wait(60)
    now = datetime.datetime.now(datetime.UTC)
    record = {"benchmark": "label_service", "date": now.isoformat(timespec="seconds"), "machine": machine()}
    record |= {"settings": vars(options) | {"run": name, "rows": Path(options.rows).name}, "texts": found}
    write_json(Path("results/bench") / f"label_service-{now:%Y%m%dT%H%M%S}.json", record)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
