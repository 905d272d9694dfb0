"""Cells as an array of Slurm jobs, through submitit."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from antivenom.core.errors import MissingPackageError, OptionsError
from antivenom.suites.executors import Event, Job
from antivenom.suites.on_ray import run_command
from antivenom.suites.record import Results

PAUSE = 2.0
"""Seconds between two looks at the jobs."""


@dataclass(frozen=True)
class OnSlurm:
    """One job of an array a cell; the folders are on a file system that the nodes share."""

    options: dict[str, Any]
    """What submitit's `update_parameters` takes, `slurm_` in front left out."""
    folder: Path
    """Where submitit keeps its files, links among them: beside the results, in which none are allowed."""
    cluster: str = "slurm"
    """`local` runs the same on this machine, for tests."""
    slots: int = field(default=64)
    """Jobs of the array that run at once."""

    @classmethod
    def parse(cls, words: str, out: Path) -> OnSlurm:
        """Read `partition=gpu,gres=gpu:1,time=120`; `at_once=N` sets how many run at once.

        Raises:
            OptionsError: a part is no name=value.
            MissingPackageError: submitit is not installed.
        """
        options: dict[str, Any] = {}
        for part in words.split(","):
            name, equals, value = part.partition("=")
            if not equals or not name.strip():
                raise OptionsError(
                    f"--slurm: {part!r} is not name=value", mend="Write partition=gpu,gres=gpu:1,time=120."
                )
            options[name.strip()] = int(value) if value.strip().isdigit() else value.strip()
        try:
            import submitit  # noqa: F401
        except ImportError:
            raise MissingPackageError("submitit is not installed", mend='pip install "antivenom[slurm]"') from None
        cluster, slots = str(options.pop("cluster", "slurm")), int(options.pop("at_once", 64))
        if cluster == "slurm" and "time" not in options:
            raise OptionsError(
                "--slurm names no time, and a job would be ended after 5 minutes", mend="Add time=MINUTES."
            )
        return cls(options, out.resolve().with_name(f"{out.resolve().name}-slurm"), cluster, slots)

    def run(self, jobs: Sequence[Job]) -> Iterator[Event]:
        """Submit the array and watch it."""
        import submitit

        executor = submitit.AutoExecutor(folder=self.folder, cluster=self.cluster)
        if self.cluster == "slurm":
            parameters = {f"slurm_{name}": value for name, value in self.options.items()}
            executor.update_parameters(slurm_array_parallelism=self.slots, **parameters)
        elif "time" in self.options:
            executor.update_parameters(timeout_min=self.options["time"])
        handles = executor.map_array(run_command, [job.command() for job in jobs])
        waiting = dict(zip(range(len(jobs)), zip(jobs, handles, strict=True), strict=True))
        started: set[int] = set()
        while waiting:
            for number, (job, handle) in list(waiting.items()):
                if number not in started and handle.state in ("RUNNING", "COMPLETED", "UNKNOWN"):
                    started.add(number)
                    yield Event("started", job.key)
                if handle.done():
                    del waiting[number]
                    _note(job, handle)
                    yield Event("finished", job.key)
            if waiting:
                time.sleep(PAUSE)


def _note(job: Job, handle: Any) -> None:
    """Say in the results why a cell has no record, where it did not say so itself."""
    results = Results(job.folder)
    if results.is_done(job.key) or results.failure(job.key):
        return
    error = handle.exception()
    code, said = (1, str(error)) if error is not None else handle.result()
    results.fail(job.key, said or f"its job ended with {code}")
