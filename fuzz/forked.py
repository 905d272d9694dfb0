"""Run commands in children of a process that has loaded the libraries already: a second instead of ten.

A child is the program from `entry_point` on: it has streams, signals, a folder, a home and limits of its own, and ends
with the exit code of the command. What it lacks is the start of the interpreter, which touches no file of ours;
`tests/integration/test_process.py` has that.
"""

from __future__ import annotations

import atexit
import importlib
import io
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

LOADED = (
    *("torch", "transformers", "peft", "accelerate", "datasets", "pyarrow.parquet", "pyarrow.csv", "scipy.sparse"),
    *("antivenom.cli", "antivenom.cli.learn", "antivenom.cli.measure", "antivenom.cli.prepare", "antivenom.cli.use"),
    *("uvicorn", "starlette.applications", "antivenom.cli.serve", "antivenom.serving.assembly"),
    *("antivenom.training.fine_tuning", "antivenom.training.lab", "antivenom.inference.finishing", "rich.table"),
)
ENVIRONMENT = {
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    **dict.fromkeys(("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"), "1"),
    **{"TOKENIZERS_PARALLELISM": "false", "ANTIVENOM_PRECISION": "fp32"},
}


@dataclass(frozen=True)
class Ended:
    """What a command said, and how it ended."""

    code: int
    """The exit code; a negative number is the signal that ended it."""
    out: str
    err: str
    seconds: float
    megabytes: int
    """The most memory that it held, what it shares with its parent included."""


@dataclass
class Child:
    """A command that runs."""

    pid: int
    folder: Path
    begun: float
    status: int | None = None
    seconds: float = 0.0
    megabytes: int = 0

    def poll(self) -> bool:
        """Whether it has ended."""
        if self.status is None:
            pid, status, used = os.wait4(self.pid, os.WNOHANG)
            self._note(pid, status, used.ru_maxrss)
        return self.status is not None

    def send(self, number: int) -> bool:
        """Send a signal, unless it has ended; says whether it did."""
        if self.poll():
            return False
        os.kill(self.pid, number)
        return True

    def wait(self) -> Ended:
        if self.status is None:
            pid, status, used = os.wait4(self.pid, 0)
            self._note(pid, status, used.ru_maxrss)
        assert self.status is not None
        said = [(self.folder / name).read_text(encoding="utf-8", errors="replace") for name in ("out", "err")]
        return Ended(os.waitstatus_to_exitcode(self.status), *said, self.seconds, self.megabytes)

    def _note(self, pid: int, status: int, kilobytes: int) -> None:
        if pid:
            self.status, self.seconds, self.megabytes = status, time.monotonic() - self.begun, kilobytes // 1024


def load(home: Path) -> None:
    """Import what commands need; whatever libraries keep in a home goes to `home`."""
    os.environ.update(ENVIRONMENT, HOME=str(home), XDG_CACHE_HOME=str(home / ".cache"))
    for name in LOADED:
        importlib.import_module(name)


def start(
    arguments: Sequence[str],
    folder: Path,
    said: Path,
    *,
    encoding: str = "utf-8",
    prepare: Callable[[], None] = lambda: None,
) -> Child:
    """Start a command.

    Args:
        arguments: The words behind `antivenom`.
        folder: Its working folder.
        said: A folder for what it prints; its temporary folder is made in it.
        encoding: Of its streams.
        prepare: Called in the child before the command.
    """
    (said / "tmp").mkdir(parents=True, exist_ok=True)
    for name in ("out", "err"):  # here, since a child may be killed before it opens them
        (said / name).write_bytes(b"")
    begun, pid = time.monotonic(), os.fork()
    if pid:
        return Child(pid, said, begun)
    code = 70
    try:
        code = _command(arguments, folder, said, encoding, prepare)
    finally:
        os._exit(code)


def run(arguments: Sequence[str], folder: Path, said: Path, **options: object) -> Ended:
    """Start a command and wait for its end."""
    return start(arguments, folder, said, **options).wait()  # type: ignore[arg-type]


def _command(arguments: Sequence[str], folder: Path, said: Path, encoding: str, prepare: Callable[[], None]) -> int:
    from antivenom.cli import entry_point

    os.chdir(folder)
    os.environ["TMPDIR"], tempfile.tempdir = str(said / "tmp"), None
    for number, name in enumerate(("/dev/null", said / "out", said / "err")):
        handle = os.open(name, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666)
        os.dup2(handle, number)
        os.close(handle)
    sys.stdin, sys.stdout, sys.stderr = (
        io.TextIOWrapper(io.FileIO(number, mode, closefd=False), encoding, errors, write_through=number == 2)  # type: ignore[arg-type]
        for number, mode, errors in ((0, "r", "strict"), (1, "w", "strict"), (2, "w", "backslashreplace"))
    )
    kept = sys.modules["__main__"]  # worker processes of a command would run it again
    sys.argv, sys.modules["__main__"] = ["antivenom", *arguments], ModuleType("__main__")
    try:
        prepare()
        entry_point()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
        code = 1
    try:
        atexit._run_exitfuncs()
        sys.stdout.flush()
    except OSError:
        code = code or 120
    assert kept is not None
    return code
