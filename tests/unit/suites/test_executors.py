"""Cells in other processes: killed at any moment nothing finished is lost, and a cluster gives the same records."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from antivenom.suites.executors import Here, Job, Pool, Slot
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
        assert executor.slots == 2
        run_suite(small_suite, out=tmp_path, data=Path(), executor=executor, quiet=True)
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert equal_where_both(tmp_path, results) == 5


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_submitit_runs_the_cells(small_suite: Path, results: Path, tmp_path: Path):
    pytest.importorskip("submitit")
    from antivenom.suites.on_slurm import OnSlurm

    executor = OnSlurm.parse("cluster=local,time=60", tmp_path)
    found = run_suite(
        small_suite, out=tmp_path, data=Path(), executor=executor, only=["defense=undefended"], quiet=True
    )
    assert (found.finished, found.failed) == (3, {})
