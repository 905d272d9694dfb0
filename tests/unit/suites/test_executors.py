"""Cells in other processes: killed at any moment nothing finished is lost, and a cluster gives the same records."""

from __future__ import annotations

import contextlib
import os
import queue
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from antivenom.core.errors import OptionsError
from antivenom.suites import executors, run_cell
from antivenom.suites.executors import Event, Here, Job, Pool, Slot
from antivenom.suites.lines import lines_of
from antivenom.suites.on_slurm import OnSlurm
from antivenom.suites.record import Results, same_but_for_cost
from antivenom.suites.run import run_suite

ROOT = Path(__file__).parents[3]


def test_cores_and_gpus_are_divided():
    cores = len(os.sched_getaffinity(0))
    assert Pool.over_cores(cores).places == (Slot(1),) * cores
    assert [slot.environment().get("CUDA_VISIBLE_DEVICES") for slot in Pool.over_gpus(["0", " 2"]).places] == ["0", "2"]


def test_several_processes_are_launched_by_accelerate():
    alone, four = (Job("k", Path("out"), Path("data"), processes=n).command() for n in (1, 4))
    assert alone[1] == four[1] == "-P"
    assert {"accelerate.commands.launch", "--multi_gpu", "4"} <= set(four)
    assert alone[4:] == four[-6:] == ["bench", "cell", "out", "k", "--data", "data"]


class Endless:
    """A process that goes on until it is ended."""

    exitcode = -15

    def __init__(self) -> None:
        self.at_work, self.ended = threading.Event(), threading.Event()

    def start(self) -> None: ...

    def wait(self) -> int:
        self.at_work.set()
        self.ended.wait(20)
        return self.exitcode

    join = wait

    def terminate(self) -> None:
        self.ended.set()


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> queue.SimpleQueue[Endless]:
    """The processes that a pool starts, none of which ends by itself."""
    found: queue.SimpleQueue[Endless] = queue.SimpleQueue()

    def made(*_: object, **__: object) -> Endless:
        child = Endless()
        found.put(child)
        return child

    monkeypatch.setattr(executors, "_context", lambda: SimpleNamespace(Process=made))
    monkeypatch.setattr(executors.subprocess, "Popen", made)
    return found


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("how", [GeneratorExit, KeyboardInterrupt])
def test_a_pool_that_is_stopped_ends_its_cells_and_none_of_them_failed(
    tmp_path: Path, children: queue.SimpleQueue[Endless], processes: int, how: type[BaseException]
):
    others = set(threading.enumerate())
    events = Pool((Slot(1), Slot(1))).run([Job(key, tmp_path, tmp_path, processes=processes) for key in "abc"])
    assert {next(events), next(events)} == {Event("started", "a"), Event("started", "b")}
    workers = set(threading.enumerate()) - others
    two = [children.get(timeout=10) for _ in range(2)]
    assert all(child.at_work.wait(10) for child in two)
    with pytest.raises(how):
        events.throw(how)
    for worker in workers:
        worker.join(10)
    assert all(child.ended.is_set() for child in two)
    assert children.empty(), "no third one was started"
    assert not (tmp_path / "failures").exists()


class NoMemory:
    """Has every cell fail."""

    def run(self, jobs: Sequence[Job]) -> Iterator[Event]:
        for job in jobs:
            Results(job.folder).fail(job.key, "out of memory")
            yield Event("finished", job.key)


def test_why_a_cell_failed_is_forgotten_when_it_is_run_again(
    small_suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    wanted = {"out": tmp_path, "data": Path(), "only": ["defense=undefended"], "quiet": True}
    assert set(run_suite(small_suite, executor=NoMemory(), **wanted).failed.values()) == {"out of memory"}
    monkeypatch.setattr(run_cell, "_measure", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_suite(small_suite, executor=Here(), **wanted)
    states = [line.state for line in lines_of(tmp_path) if line.place.defense == "undefended"]
    assert states == ["waiting", "failed", "failed"]


def test_a_cluster_is_told_the_time_and_keeps_its_files_outside_the_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "submitit", ModuleType("submitit"))
    with pytest.raises(OptionsError, match="time"):
        OnSlurm.parse("partition=gpu,gres=gpu:1", tmp_path)
    assert not OnSlurm.parse("partition=gpu,time=60", tmp_path).folder.is_relative_to(tmp_path)


@pytest.mark.slow
def test_a_training_of_two_processes_is_a_cell_as_any_other(small_suite: Path, tmp_path: Path):
    suite, out = tmp_path / "two.yaml", tmp_path / "out"
    suite.write_text(f"include: [{small_suite}]\nrecipes: {{short: {{epochs: 1, processes: 2}}}}\n", encoding="utf-8")
    only = ["defense=undefended,control="]
    found = run_suite(suite, out=out, data=Path(), executor=Pool.over_cores(1), only=only, quiet=True)
    assert (found.finished, found.failed) == (1, {})
    [log] = (out / "work/logs").iterdir()
    assert "Traceback" not in log.read_text(encoding="utf-8")
    [record] = Results(out).records().values()
    assert record.ledger.processes == 2
    assert run_suite(suite, out=out, data=Path(), executor=Pool.over_cores(1), only=only, quiet=True).ran == 0


def killed(small_suite: Path, out: Path, only: list[str], is_time: Callable[[], bool]) -> None:
    """Start a run in a session of its own, and kill all of it when it is time."""
    words = ["-P", "-m", "antivenom", "bench", "run", str(small_suite), "--out", str(out), "--workers", "1", "--quiet"]
    words += [word for pattern in only for word in ("--only", pattern)]
    with subprocess.Popen(
        [sys.executable, *words], start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        while process.poll() is None and not is_time():
            time.sleep(0.05)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def after_the_start(out: Path, seconds: float) -> Callable[[], bool]:
    """Whether so much time went by since a run wrote its plan: what comes before is the import of libraries."""
    plan, since = out / "suite.json", time.time_ns()

    def is_time() -> bool:
        written = plan.stat().st_mtime_ns if plan.exists() else 0
        return written > since and time.time_ns() > written + seconds * 1e9

    return is_time


def equal_where_both(out: Path, results: Path) -> int:
    """How many cells two folders share; all of these say the same."""
    ours, theirs = Results(out).records(), Results(results).records()
    shared = ours.keys() & theirs.keys()
    assert all(same_but_for_cost(ours[key], theirs[key]) for key in shared)
    return len(shared)


def test_a_kill_loses_nothing(small_suite: Path, results: Path, tmp_path: Path):
    only = ["defense=undefended"]
    killed(small_suite, tmp_path, only, lambda: any((tmp_path / "records").glob("*.json")))
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "records").glob("*.json")}
    found = run_suite(small_suite, out=tmp_path, data=Path(), executor=Here(), only=only, quiet=True)
    assert (found.finished, found.failed) == (3, {})
    assert all(path.stat().st_mtime_ns == when for path, when in kept.items()), "what was finished is not done again"
    assert equal_where_both(tmp_path, results) == 3


@pytest.mark.slow
def test_kills_at_random_moments_lose_nothing(tmp_path: Path):
    """`suites/smoke.yaml`, killed with all its processes at 20 random moments; says how many cells were done then."""
    smoke, whole, out = ROOT / "suites/smoke.yaml", tmp_path / "whole", tmp_path / "killed"
    began = time.monotonic()
    cells = run_suite(smoke, out=whole, data=Path(), executor=Pool.over_cores(1), quiet=True).finished
    longest = (time.monotonic() - began) / 10
    rng, kept, done = random.Random(0), dict[str, bytes](), []
    for _ in range(20):
        killed(smoke, out, [], after_the_start(out, rng.uniform(0, longest)))
        now = {path.name: path.read_bytes() for path in (out / "records").glob("*.json")}
        assert kept.items() <= now.items(), "a finished cell was lost or changed"
        kept = now
        done.append(len(kept))
    rest = run_suite(smoke, out=out, data=Path(), executor=Pool.over_cores(1), quiet=True)
    assert (rest.finished, rest.ran, rest.failed) == (cells, cells - len(kept), {})
    assert set(Results(out).records()) == set(Results(whole).records())
    assert equal_where_both(out, whole) == cells
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.json")}
    assert run_suite(smoke, out=out, data=Path(), executor=Pool.over_cores(1), quiet=True).ran == 0
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.json") if path.name != "suite.json"}.items() <= (
        before.items()
    )
    print(f"cells done at each kill: {done}; {rest.ran} more to {cells}, each as undisturbed; a second run ran 0")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_ray_cluster_of_two_nodes_gives_the_same_records(small_suite: Path, results: Path, tmp_path: Path):
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    from antivenom.suites.on_ray import OnRay

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    cluster.add_node(num_cpus=1)
    try:
        executor = OnRay.at(cluster.address)
        run_suite(small_suite, out=tmp_path, data=Path(), executor=executor, quiet=True)
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert equal_where_both(tmp_path, results) == 5


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_submitit_runs_the_cells(small_suite: Path, results: Path, tmp_path: Path):
    pytest.importorskip("submitit")
    executor = OnSlurm.parse("cluster=local,time=60", tmp_path)
    found = run_suite(
        small_suite, out=tmp_path, data=Path(), executor=executor, only=["defense=undefended"], quiet=True
    )
    assert (found.finished, found.failed) == (3, {})
