"""The commands that the documentation names start two real processes, which end with what one ends with."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pyarrow.csv as pacsv
import pytest
from safetensors.torch import load_file

from antivenom.testing import synthetic_rows

LAUNCHERS = {
    "torchrun": ["torch.distributed.run", "--nproc_per_node", "2", "--standalone"],
    "accelerate launch": ["accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines", "1",
                          "--main_process_port", "0", "--mixed_precision", "no", "--dynamo_backend", "no"],
}  # fmt: skip


def fit(rows, model, out, launcher=(), batch="16"):
    """What `antivenom fit` ends with, in one process or started by a launcher."""
    modules = [word for module in (*([launcher] if launcher else []), ["antivenom"]) for word in ("-m", *module)]
    options = ["--rank", "4", "--learning-rate", "0.01", "--batch-size", batch, "--epochs", "2", "--seed", "3"]
    command = [sys.executable, *modules, "fit", rows, "--model", model, "--out", out, *options, "--quiet"]
    environment = {**os.environ, "ANTIVENOM_CACHE": str(out.with_name("cache")), "OMP_NUM_THREADS": "1"}
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, env=environment, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("launcher", LAUNCHERS.values(), ids=LAUNCHERS)
def test_the_recipe_ends_the_same_in_two_processes(model_folder, tmp_path, launcher):
    """Screen, referees and training: the same rows are taught, for the same reasons, to the same weights."""
    rows = tmp_path / "rows.csv"
    pacsv.write_csv(synthetic_rows(300).select(["text", "answer"]), rows)
    for done in (fit(rows, model_folder, tmp_path / "one"), fit(rows, model_folder, tmp_path / "two", launcher)):
        assert done.returncode == 0, done.stderr
    refused = fit(rows, model_folder, tmp_path / "odd", launcher, batch="15")
    assert refused.returncode != 0
    assert "2 processes" in refused.stderr, "there are really two"
    one, two = ({"folder": tmp_path / name} for name in ("one", "two"))
    for made in (one, two):
        made["decisions"] = (made["folder"] / "decisions.csv").read_bytes()
        made["weights"] = load_file(made["folder"] / "adapter_model.safetensors")
        made["training"] = json.loads((made["folder"] / "antivenom.json").read_text(encoding="utf-8"))["training"]
    assert one["decisions"] == two["decisions"]
    assert one["training"]["steps"] == two["training"]["steps"]
    assert max(float((one["weights"][name] - two["weights"][name]).abs().max()) for name in one["weights"]) < 1e-5
