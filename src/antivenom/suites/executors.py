"""Where cells run: in this process, or in a pool of processes over processor cores or GPUs."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

from antivenom.core.console import say
from antivenom.core.errors import AntivenomError, OptionsError
from antivenom.core.files import append_from, make_folder
from antivenom.suites.record import Results

PRELOADED = ("__main__", "antivenom.suites.preload")
"""What the process that cells are forked from has imported: a cell starts in milliseconds instead of seconds."""


LAUNCH = ("-m", "accelerate.commands.launch", "--multi_gpu", "--num_machines", "1", "--main_process_port", "0",
          "--mixed_precision", "no", "--dynamo_backend", "no")  # fmt: skip
"""Without `--multi_gpu` several processes are one on a machine that has no two GPUs, and nothing says so; port 0 is any
free one, so that two cells may run beside each other."""


class Event(NamedTuple):
    """Something happened to a cell."""

    kind: Literal["started", "finished"]
    key: str


@dataclass(frozen=True)
class Job:
    """One cell to run."""

    key: str
    folder: Path
    """The results."""
    data: Path
    plugins: tuple[str, ...] = ()
    """Files of methods that the user has agreed to run."""
    processes: int = 1
    """Of its training."""

    def words(self) -> list[str]:
        """The command line that runs this cell, without Python."""
        plugins = [word for path in self.plugins for word in ("--plugin", path)]
        return ["bench", "cell", str(self.folder), self.key, "--data", str(self.data), *plugins]

    def command(self) -> list[str]:
        """The whole command line; under `accelerate launch` where the training takes several processes.

        Python's `-P` keeps files of the working folder from being imported.
        """
        if self.processes == 1:
            return [sys.executable, "-P", "-m", "antivenom", *self.words()]
        return [sys.executable, "-P", *LAUNCH, "--num_processes", str(self.processes), "-m", "antivenom", *self.words()]

    def run(self) -> None:
        """Run the cell in this process; what goes wrong is noted in the results.

        Raises:
            AntivenomError: the cell cannot be run.
        """
        from antivenom.suites.methods import Methods
        from antivenom.suites.run_cell import run_cell

        results = Results(self.folder)
        try:
            run_cell(self.key, results, Methods.load(self.plugins), self.data)
        except AntivenomError:
            raise
        except Exception as error:  # a fault of ours, or of a library: the other cells go on
            results.fail(self.key, f"{type(error).__name__}: {error}")
            raise


class Executor(Protocol):
    """Runs cells and says when each starts and ends; whether it succeeded stands in the results."""

    def run(self, jobs: Sequence[Job]) -> Iterator[Event]:
        """Run them, in whatever order ends soonest."""
        ...


@dataclass(frozen=True)
class Here:
    """One after the other in this very process."""

    def run(self, jobs: Sequence[Job]) -> Iterator[Event]:
        """Run the cells in order; one that fails does not stop the others."""
        import logging

        for job in jobs:
            yield Event("started", job.key)
            try:
                job.run()
            except Exception:  # noted in the results by `run`
                logging.getLogger(__name__).debug("cell %s failed", job.key, exc_info=True)
            yield Event("finished", job.key)


@dataclass(frozen=True)
class Slot:
    """A place in a pool: which GPU its cells see, and how many threads they use."""

    threads: int
    gpu: str | None = None

    def settle(self) -> None:
        """Make this process one that runs in the slot."""
        os.environ |= self.environment()
        import torch

        torch.set_num_threads(self.threads)

    def environment(self) -> dict[str, str]:
        """The variables that say so."""
        found = {"OMP_NUM_THREADS": str(self.threads), "TOKENIZERS_PARALLELISM": "false"}
        return found if self.gpu is None else {**found, "CUDA_VISIBLE_DEVICES": self.gpu}


@dataclass(frozen=True)
class Pool:
    """Processes on this machine, one a cell."""

    places: tuple[Slot, ...]

    @classmethod
    def over_cores(cls, workers: int) -> Pool:
        """Divide the processor cores among so many workers."""
        threads = max(1, len(os.sched_getaffinity(0)) // workers)
        return cls(tuple(Slot(threads) for _ in range(workers)))

    @classmethod
    def over_gpus(cls, gpus: Sequence[str]) -> Pool:
        """One worker for each GPU.

        Raises:
            OptionsError: none is named.
        """
        if not gpus or not all(gpu.strip() for gpu in gpus):
            raise OptionsError("--gpus names no GPU", mend="Write their numbers: --gpus 0,1")
        threads = max(1, len(os.sched_getaffinity(0)) // len(gpus))
        return cls(tuple(Slot(threads, gpu.strip()) for gpu in gpus))

    def run(self, jobs: Sequence[Job]) -> Iterator[Event]:
        """Run the cells; each place takes the next one as soon as it is free."""
        waiting: queue.SimpleQueue[Job] = queue.SimpleQueue()
        events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        for job in jobs:
            waiting.put(job)
        # What is forked from is started now, before there are threads, and imports nothing from the working folder.
        os.environ.setdefault("PYTHONSAFEPATH", "1")
        context = _context()
        running = _Running(context)
        workers = [
            threading.Thread(target=_work, args=(slot, waiting, events, running), daemon=True) for slot in self.places
        ]
        try:
            for worker in workers:
                worker.start()
            left = len(workers)
            while left:
                event = events.get()
                if event is None:
                    left -= 1
                else:
                    yield event
        finally:
            running.stop()


@dataclass
class _Running:
    """The processes at work, so that whoever stops the suite stops them all."""

    context: Any
    """Of multiprocessing: what processes are made with."""
    children: list[Any] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)

    def stop(self) -> None:
        """End the processes; no further cell begins."""
        self.stopped.set()
        for child in list(self.children):
            child.terminate()


def _context() -> Any:
    import multiprocessing

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    return context


def _work(
    slot: Slot, waiting: queue.SimpleQueue[Job], events: queue.SimpleQueue[Event | None], running: _Running
) -> None:
    """Take cells until there are none, or until all is stopped."""
    try:
        while not running.stopped.is_set():
            try:
                job = waiting.get_nowait()
            except queue.Empty:
                return
            events.put(Event("started", job.key))
            code = _in_process(job, slot, running)
            results = Results(job.folder)
            if running.stopped.is_set():
                return  # stopped is not failed
            if code and not results.is_done(job.key) and not results.failure(job.key):
                results.fail(job.key, f"its process ended with {code} (killed, or out of memory)")
            events.put(Event("finished", job.key))
    finally:
        events.put(None)


def _in_process(job: Job, slot: Slot, running: _Running) -> int:
    """Run one cell in a process of its own; returns how that ended."""
    log = job.folder / "work" / "logs" / f"{job.key}.txt"
    make_folder(log.parent)
    if job.processes > 1:
        with append_from(log, 0) as file:
            env = {**os.environ, **slot.environment()}
            launched = subprocess.Popen(job.command(), stdout=file, stderr=file, env=env)
            running.children.append(launched)
            if running.stopped.is_set():
                launched.terminate()
            return launched.wait()
    process = running.context.Process(target=_child, args=(job, slot, log), daemon=False)
    process.start()
    running.children.append(process)
    if running.stopped.is_set():
        process.terminate()
    process.join()
    return int(process.exitcode or 0)


def _child(job: Job, slot: Slot, log: Path) -> None:
    """What a forked process does; its output goes to a file."""
    with append_from(log, 0) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    slot.settle()
    try:
        job.run()
    except AntivenomError as error:
        say(*str(error).split("\n"))
        sys.exit(1)
