"""A `fit` that is killed between its model and what is said about its rows says it when it is repeated."""

from __future__ import annotations

import csv
import signal
import subprocess
import sys

from antivenom.testing import synthetic_rows

KILL = """
import os, signal
from antivenom import cli
from antivenom.training import fine_tuning

fine_tuning.write_decisions = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
cli.main({words!r})
"""


def test_a_fit_killed_between_its_model_and_its_decisions_writes_them(model_folder, tmp_path):
    rows = tmp_path / "rows.csv"
    with rows.open("w", newline="", encoding="utf-8") as file:
        lines = ([row["text"], row["answer"]] for row in synthetic_rows(80).to_pylist())
        csv.writer(file).writerows([["text", "label"], *lines])
    out, store = tmp_path / "out", tmp_path / "out.referee"
    words = ["fit", str(rows), "--model", str(model_folder), "--out", str(out), "--epochs", "1", "--quiet"]
    killed = subprocess.run(
        [sys.executable, "-c", KILL.format(words=words)], capture_output=True, text=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    weights = (out / "adapter_model.safetensors").read_bytes()
    assert not (out / "decisions.csv").exists()
    assert store.exists()
    again = subprocess.run([sys.executable, "-m", "antivenom", *words], capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert (out / "decisions.csv").exists()
    assert not store.exists()
    assert (out / "adapter_model.safetensors").read_bytes() == weights
