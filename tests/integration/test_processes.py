"""Two gloo processes end with the weights of one, also after one of them was killed."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import socket
import time

import pytest
from process_worker import prepare, work_on
from safetensors.torch import load_file

from antivenom.artifacts.artifact import WORK, load_artifact
from antivenom.artifacts.manifest import MANIFEST
from antivenom.core.errors import OptionsError
from antivenom.core.processes import LAUNCHED
from antivenom.training.checkpoints import latest_checkpoint
from antivenom.training.fit import train_artifact
from antivenom.training.training_options import TrainingOptions

WORKERS = multiprocessing.get_context("forkserver")
# What a fit imports late is imported once, before the processes part.
WORKERS.set_forkserver_preload(
    [
        "antivenom.models.fused_lora",
        "antivenom.models.trunk",
        "antivenom.testing",
        "antivenom.training.fit",
        "antivenom.training.trainer",
        "transformers.models.llama.modeling_llama",
        "peft",
    ]
)
OPTIONS = {"rank": 4, "learning_rate": 0.01, "batch_size": 16, "accumulate": 2, "epochs": 2, "save_every": 3}
FSDP = {
    "ACCELERATE_USE_FSDP": "true",
    "FSDP_VERSION": "2",
    "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
    "FSDP_STATE_DICT_TYPE": "SHARDED_STATE_DICT",
}


@contextlib.contextmanager
def launched(model, out, options, *, shard=False):
    """Two processes with what `torchrun` sets in their environments, forked from one that has imported everything."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    said = [out.with_name(f"{out.name}-{port}-{rank}.txt") for rank in range(2)]
    processes = []
    for rank in range(2):
        ranked = {**common, **(FSDP if shard else {}), "RANK": str(rank), "LOCAL_RANK": str(rank)}
        work = (str(model), str(out), options, {**os.environ, **ranked}, str(said[rank]), shard)
        processes.append(WORKERS.Process(target=work_on, args=work))
        processes[-1].start()
    try:
        yield processes, said
    finally:
        for process in processes:
            process.kill()
            process.join()


def run_two(model, out, options, *, shard=False):
    with launched(model, out, options, shard=shard) as (processes, said):
        for process in processes:
            process.join(600)
        told = [path.read_text(encoding="utf-8") for path in said]
        assert [process.exitcode for process in processes] == [0, 0], told
    return told


def step_of(checkpoint):
    return 0 if checkpoint is None else int(checkpoint.rpartition("-")[2])


def kill_one(model, out, options, rank, *, shard=False, checkpoints=1, later=0.0):
    """Kill a process as soon as there are more checkpoints, or a little later, and then the other, as launchers do."""
    wanted = step_of(latest_checkpoint(out / WORK)) + checkpoints
    with launched(model, out, options, shard=shard) as (processes, _):
        deadline = time.monotonic() + 600
        while step_of(latest_checkpoint(out / WORK)) < wanted:
            assert processes[rank].exitcode is None, "it ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(later)
        processes[rank].kill()
        processes[rank].join()
        assert not (out / MANIFEST).exists()


def assert_same_weights(one, other):
    ours, theirs = load_file(one / "adapter_model.safetensors"), load_file(other / "adapter_model.safetensors")
    assert ours.keys() == theirs.keys()
    assert max(float((ours[name] - theirs[name]).abs().max()) for name in ours) < 1e-5


@pytest.fixture(scope="module")
def alone(model_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("alone") / "run"
    train_artifact(prepare(), model=str(model_folder), out=out, options=TrainingOptions(**OPTIONS), quiet=True)
    return out


def test_two_processes_learn_what_one_learns(alone, model_folder, tmp_path):
    """75 rows in batches of 16: the last batch of an epoch is short, and one process has fewer rows of it."""
    run_two(model_folder, tmp_path / "two", OPTIONS)
    assert_same_weights(alone, tmp_path / "two")
    one, two = (load_artifact(folder).manifest.training for folder in (alone, tmp_path / "two"))
    assert one["steps"] == two["steps"]
    assert [point["loss"] for point in two["losses"]] == pytest.approx([point["loss"] for point in one["losses"]])
    assert not (tmp_path / "two" / WORK).exists()


@pytest.mark.slow
@pytest.mark.parametrize("options", [{**OPTIONS, "dropout": 0.1}, {**OPTIONS, "top_layers": 1}])
@pytest.mark.parametrize(("rank", "checkpoints"), [(0, 1), (1, 7)])
def test_a_run_that_lost_a_process_ends_with_the_same_weights(
    model_folder, tmp_path, monkeypatch, rank, checkpoints, options
):
    """In the first epoch, and in the middle of the second."""
    monkeypatch.setenv("ANTIVENOM_CACHE", str(tmp_path / "cache"))
    options = {**options, "save_every": 1, "epochs": 3}
    run_two(model_folder, tmp_path / "whole", options)
    kill_one(model_folder, tmp_path / "killed", options, rank, checkpoints=checkpoints)
    run_two(model_folder, tmp_path / "killed", options)
    assert_same_weights(tmp_path / "whole", tmp_path / "killed")


@pytest.mark.slow
@pytest.mark.parametrize("shard", [False, True])
def test_kills_at_ten_moments_end_with_the_same_weights(model_folder, tmp_path, shard):
    """Either process, five times each, while it computes, writes a checkpoint, or waits for the other."""
    options, rng = {**OPTIONS, "dropout": 0.1, "save_every": 1, "epochs": 6}, random.Random(0)
    run_two(model_folder, tmp_path / "whole", options, shard=shard)
    for number in range(10):
        kill_one(model_folder, tmp_path / "killed", options, number % 2, shard=shard, later=rng.uniform(0, 0.1))
    run_two(model_folder, tmp_path / "killed", options, shard=shard)
    assert_same_weights(tmp_path / "whole", tmp_path / "killed")


@pytest.mark.slow
@pytest.mark.parametrize("method", ["lora", "full"])
def test_two_processes_that_share_the_weights_learn_what_one_learns(alone, model_folder, tmp_path, method):
    options = {**OPTIONS, "method": method, "learning_rate": OPTIONS["learning_rate"] if method == "lora" else 1e-3}
    said = run_two(model_folder, tmp_path / "two", options, shard=True)
    assert all("sharded" in one for one in said)
    if method == "lora":
        assert_same_weights(alone, tmp_path / "two")
        kill_one(model_folder, tmp_path / "killed", options, 0, shard=True)
        run_two(model_folder, tmp_path / "killed", options, shard=True)
        assert_same_weights(alone, tmp_path / "killed")
        return
    train_artifact(
        prepare(), model=str(model_folder), out=tmp_path / "one", options=TrainingOptions(**options), quiet=True
    )
    ours, theirs = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    assert max(float((ours[name] - theirs[name]).abs().max()) for name in ours) < 1e-5


def test_processes_that_prepared_different_rows_are_refused(model_folder, tmp_path, monkeypatch):
    from antivenom.core import processes

    monkeypatch.setattr(processes, "gathered", lambda mine: [mine, "of other rows"])
    with pytest.raises(OptionsError, match="different things"):
        train_artifact(
            prepare(), model=str(model_folder), out=tmp_path / "x", options=TrainingOptions(**OPTIONS), quiet=True
        )
    assert not (tmp_path / "x").exists()


def test_a_batch_that_cannot_be_divided_is_refused_and_the_folder_given_back(model_folder, tmp_path, monkeypatch):
    from antivenom.training import trainer

    monkeypatch.setattr(trainer, "process_count", lambda: 3)
    with pytest.raises(OptionsError, match="3 processes"):
        train_artifact(
            prepare(), model=str(model_folder), out=tmp_path / "x", options=TrainingOptions(**OPTIONS), quiet=True
        )
    assert not (tmp_path / "x").exists()


def test_a_process_without_a_launcher_is_alone(monkeypatch):
    from antivenom.core.processes import gathered, is_first, on_first, process_count

    monkeypatch.setenv("WORLD_SIZE", "4")  # some schedulers set this much for every program
    assert process_count() == 1
    assert is_first()
    assert on_first(lambda: 7) == 7
    assert gathered("mine") == ["mine"]
    assert len(LAUNCHED) == 5
