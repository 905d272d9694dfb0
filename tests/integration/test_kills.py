"""kill -9 at random moments, and two of each command at once: the repeated command ends as an undisturbed one does.

`ANTIVENOM_KILLS=200 pytest -m slow -s tests/integration/test_kills.py` kills 200 times and prints the counts.
"""

from __future__ import annotations

import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from antivenom.core.locks import SUFFIX
from antivenom.testing import synthetic_rows

KILLS = int(os.environ.get("ANTIVENOM_KILLS", "7"))
RECIPE = ["--model", "model", "--epochs", "2", "--learning-rate", "1e-2", "--save-every", "2", "--seed", "1", "--quiet"]
COMMANDS = {
    "fit": ["fit", "rows.csv", "--out", "out", "--defense", "none", *RECIPE],
    "standard": ["fit", "rows.csv", "--out", "out", *RECIPE],
    "immunize": ["immunize", "rows.csv", "--out", "out", "--defense", "p2p:reserve=random", "--seed", "1"],
    "predict": ["predict", "safe", "--file", "rows.csv", "--out", "out.jsonl", "--quiet"],
    "finish": ["finish", "trained", "--manifest", "immunized", "--model", "model"],
    "compare": ["compare", "rows.csv", "test.csv", "--out", "out", "--defense", "none", *RECIPE],
    "check": [
        *("check", "rows.csv", "--test", "test.csv", "--out", "out", "--families", "word", "--defense", "none"),
        *RECIPE,
    ],
}
"""What is killed. `finish` gets an adapter that `fit` made, without its manifest."""
VARYING = ("seconds", "since", "command")
"""Ends of keys in JSON whose values differ between any two runs."""


def start(command: str, folder: Path) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-m", "antivenom", *COMMANDS[command]]
    return subprocess.Popen(arguments, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory, model_folder: Path) -> Path:
    """Rows, a model, an artifact, immunized rows, and an adapter as another trainer leaves it."""
    folder = tmp_path_factory.mktemp("workshop")
    rows = synthetic_rows(120).to_pylist()
    for name, part in {"rows.csv": rows[:80], "test.csv": rows[80:]}.items():
        with (folder / name).open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["text", "label"])
            writer.writerows([row["text"], row["answer"]] for row in part)
    shutil.copytree(model_folder, folder / "model")
    for name, made in {"fit": "safe", "immunize": "immunized"}.items():
        with start(name, folder) as process:
            _, said = process.communicate()
        assert process.returncode == 0, said
        (folder / "out").rename(folder / made)
    shutil.copytree(folder / "safe", folder / "trained")
    for name in ("antivenom.json", "decisions.csv"):
        (folder / "trained" / name).unlink()
    return folder


def fresh(workshop: Path, place: Path) -> Path:
    shutil.copytree(workshop, place)
    return place


def steady(value: Any) -> Any:
    """JSON without what differs between any two runs."""
    if isinstance(value, dict):
        return {key: steady(one) for key, one in value.items() if not key.endswith(VARYING)}
    return [steady(one) for one in value] if isinstance(value, list) else value


def outcome(folder: Path) -> dict[str, Any]:
    """Every file by its path, hidden ones and leftovers included."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            found[str(path.relative_to(folder))] = steady(json.loads(data)) if path.suffix == ".json" else data
    return found


def run_whole(command: str, folder: Path) -> tuple[float, int, str]:
    begun = time.monotonic()
    with start(command, folder) as process:
        _, said = process.communicate()
    return time.monotonic() - begun, process.returncode, said


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_a_killed_command_ends_as_an_undisturbed_one(command, workshop, tmp_path):
    place = tmp_path / "place"  # the same for all: manifests name the folder of the base model
    took, code, said = run_whole(command, fresh(workshop, place))
    assert code in (0, 1, 3) if command == "check" else code == 0, said
    expected, rng, hit = outcome(place), random.Random(command), 0
    kills = max(1, KILLS // len(COMMANDS))
    for _ in range(kills):
        shutil.rmtree(place)
        fresh(workshop, place)
        with start(command, place) as process:
            time.sleep(rng.uniform(0.0, took))
            hit += process.poll() is None
            process.send_signal(signal.SIGKILL)
        seconds, again, said = run_whole(command, place)
        took = min(took, seconds)
        assert again == code or "already" in said, said  # it had ended before it was killed
        assert outcome(place) == expected
    print(f"{command}: {hit} of {kills} kills hit it; all ended with the same bytes")


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_of_two_at_once_one_works_and_the_other_says_who_does(command, workshop, tmp_path):
    place = fresh(workshop, tmp_path / "place")
    with start(command, place) as first, start(command, place) as second:
        ends = [(process.communicate()[1], process.returncode) for process in (first, second)]
    good = [code for said, code in ends if "is in use by" not in said and "already" not in said]
    refused = [said for said, code in ends if "is in use by" in said]
    assert all("Traceback" not in said for said, _ in ends), ends
    assert good, ends
    assert all(f"process {first.pid}" in said or f"process {second.pid}" in said for said in refused)
    found = outcome(place)
    assert not [name for name in found if name.endswith(SUFFIX)]
    shutil.rmtree(place)
    run_whole(command, fresh(workshop, place))
    assert found == outcome(place)
