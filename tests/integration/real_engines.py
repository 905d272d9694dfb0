"""Real engines for the tests: where their programs are, and how each is started on an export.

An engine that needs packages in other versions than this project lives in an environment of its own: put its folder of
programs on PATH or name it in ANTIVENOM_TOOLS. ANTIVENOM_LLAMA_CPP is a llama.cpp checkout, for its converter.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from antivenom.serving.export import export
from antivenom.serving.launch import ExportFormat

CHECKOUT = os.environ.get("ANTIVENOM_LLAMA_CPP", "")
SECONDS = 600


@dataclass(frozen=True)
class Bare:
    """An engine that runs, with nothing in front of it."""

    url: str
    model: str
    """Its model's name there."""


def program(name: str) -> str | None:
    """A program beside this Python, in ANTIVENOM_TOOLS, or on PATH."""
    places = (str(Path(sys.executable).parent), os.environ.get("ANTIVENOM_TOOLS", ""), os.environ["PATH"])
    return shutil.which(name, path=os.pathsep.join(places))


def require(engine: str) -> None:
    """Skip where an engine is missing, and say which."""
    if engine == "transformers":
        pytest.importorskip("fastapi", reason="transformers serve needs fastapi")
        if program("transformers") is None:
            pytest.skip("transformers is not on PATH nor in ANTIVENOM_TOOLS")
    if engine == "llamacpp":
        if program("llama-server") is None:
            pytest.skip("llama-server is not on PATH nor in ANTIVENOM_TOOLS")
        if not CHECKOUT:
            pytest.skip("ANTIVENOM_LLAMA_CPP names no llama.cpp checkout, which has the converter")
        pytest.importorskip("sentencepiece", reason="llama.cpp's converter needs sentencepiece")


@contextlib.contextmanager
def engine_on(engine: ExportFormat, run: Path, out: Path) -> Iterator[Bare]:
    """Export an artifact and start an engine with the line that `export` says."""
    launch = export(run, out, engine, llama_cpp=Path(CHECKOUT) if engine == "llamacpp" else None).launch
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])
    words = shlex.split(launch.replace("8001", str(port)))
    found = program(words[0])
    assert found is not None
    extra = ["--device", "cpu"] if engine == "transformers" else ["-c", "2048", "-t", "1"]
    hub = out.parent / "hub"
    hub.mkdir(exist_ok=True)
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(hub)}
    with (out.parent / "engine.log").open("w") as log:
        process = subprocess.Popen([found, *words[1:], *extra], env=environment, stdout=log, stderr=log)
        try:
            wait_for(f"http://127.0.0.1:{port}/health", process)
            yield Bare(f"http://127.0.0.1:{port}", str(out) if engine == "transformers" else run.name)
        finally:
            process.terminate()
            process.wait(60)


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until a server answers; fail when it ends or takes too long."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, "the engine has ended; see engine.log"
        with contextlib.suppress(httpx2.HTTPError):
            if httpx2.get(url, timeout=5, trust_env=False).status_code == 200:
                return
        time.sleep(0.5)
    raise TimeoutError(url)
