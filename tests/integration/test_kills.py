"""Kills, pairs of commands, broken machines and damaged files, a few of each; docs/threat_model.md has the whole."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize(
    "line",
    [
        "kills --kills 10",
        "kills --pairs",
        "mutations --cases 1000",
        pytest.param("faults", marks=pytest.mark.skipif(os.geteuid() != 0, reason="mounts disks, which takes root")),
    ],
)
def test_nothing_fails(line):
    program, *words = line.split()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "src")])}
    done = subprocess.run(
        [sys.executable, "-m", f"fuzz.{program}", *words],
        cwd=REPOSITORY,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout
