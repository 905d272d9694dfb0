"""Cells on a Ray cluster whose machines share the results folder."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from antivenom.core.cluster import connect
from antivenom.suites.executors import Event, Job
from antivenom.suites.record import Results


@dataclass(frozen=True)
class OnRay:
    """One task a cell: a GPU each where the cluster has some, else so many processor cores."""

    where: str
    """See `core.cluster.connect`."""
    cores: int = 1

    @classmethod
    def at(cls, where: str) -> OnRay:
        """`local`, `auto` (the cluster that this machine belongs to), or an address.

        Raises:
            MissingPackageError: Ray is not installed.
        """
        connect(where)
        return cls(where)

    def run(self, jobs: Sequence[Job]) -> Iterator[Event]:
        """Hand every cell to the cluster; each says when it starts and when it ends."""
        import ray

        connect(self.where)
        gpus = 1 if ray.cluster_resources().get("GPU", 0) else 0
        remote = ray.remote(num_cpus=self.cores, num_gpus=gpus, max_retries=2)(run_command)
        waiting = {remote.remote(_anywhere(job)): job for job in jobs}
        for job in jobs:  # Ray does not say when a task starts; all are in its hands
            yield Event("started", job.key)
        while waiting:
            done, _ = ray.wait(list(waiting), num_returns=1)
            job = waiting.pop(done[0])
            _note(job, done[0])
            yield Event("finished", job.key)


def run_command(words: list[str]) -> tuple[int, str]:
    """Run one command on whichever machine this is; how it ended, and the last of what it said."""
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.returncode, (done.stderr or done.stdout)[-2000:]


def _anywhere(job: Job) -> list[str]:
    """The command of a cell for a machine that has its own Python of the same name and shares the folders."""
    from dataclasses import replace

    plugins = tuple(str(_whole(path)) for path in job.plugins)
    return replace(job, folder=job.folder.resolve(), data=job.data.resolve(), plugins=plugins).command()


def _whole(path: str) -> Any:
    from pathlib import Path

    return Path(path).resolve()


def _note(job: Job, done: Any) -> None:
    """Say in the results why a cell has no record, where it did not say so itself."""
    import ray

    results = Results(job.folder)
    try:
        code, said = ray.get(done)
    except ray.exceptions.RayError as error:
        code, said = 1, f"{type(error).__name__}: {error}"
    if code and not results.is_done(job.key) and not results.failure(job.key):
        results.fail(job.key, said or f"its process ended with {code}")
