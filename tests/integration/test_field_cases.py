"""The inputs of `shared/field_cases`: each one's `cmd` is run, and what its `expect.md` asks for is looked at.

They lie beside the checkout and not in it: these tests skip where they are missing. Two things differ from when they
were written: `--reserve` stands behind `--defense p2p:`, and the artifact of 04 is made anew.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CASES = Path(__file__).parents[3] / "shared" / "field_cases"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CASES.is_dir(), reason="shared/field_cases is not beside this checkout"),
]

EXPECTED = {
    "02-alpaca-history": (
        r'"You answer like a pirate\."',
        r"Aye, I do\.",
        r"Only speak of weather",
        r"Answer in French",
    ),
    "03-toolcall-reasoning": (r"'tool_calls'", r"'reasoning_content'", r"column 'tools'", r"column 'images'"),
    "05-resized-vocab": (r"is an artifact now", r"a warm soup"),
    "06-csv-folder-types": (r"\('007', '010'\) \('007', '010'\)", r"csvdir: 48 rows read, 48 kept"),
    "08-all-refused-hidden": (
        r"bytes instead",
        r"Decimal instead",
        r"missing label: 10",
        r"list instead",
        r"orient='rec",
    ),
    "09-hub-config": (r"multiconf:en, or --config en", r"acme/sums:CONFIG, or --config CONFIG"),
    "10-parquet-dir-large": (r"o/train\.parquet", r"sparkdir\.parquet: 48 rows read, 48 kept"),
    "12-trl-folder": (r"is an artifact now", r"Never loaded.*checkpoint-10/optimizer\.pt"),
    "14-tsv-quotes": (r"read as quoted", r"--quotes"),
    "17-label-unicode": (r"look the same|looks? like",),
}
"""What each case prints, as patterns over one line."""


def copied(name: str, folder: Path) -> Path:
    shutil.copytree(CASES / name, folder / name)
    for path in (folder / name, *(folder / name).rglob("*")):
        path.chmod(path.stat().st_mode | 0o700)
    command = folder / name / "cmd"
    said = re.sub(r"--reserve random --ratio (\S+)", r'--defense "p2p:reserve=random;ratio=\1"', command.read_text())
    command.write_text(said.replace("--reserve random", "--defense p2p:reserve=random"))
    return folder / name


def printed(folder: Path, *command: str) -> str:
    """What commands print, errors included, in one line."""
    program = folder.parent / "antivenom"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m antivenom "$@"\n')
    program.chmod(0o755)
    environment = {**os.environ, "ANTIVENOM": str(program), "PYTHON": sys.executable, "COLUMNS": "200"}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2] / "src")
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr, done.stderr[-2000:]
    return " ".join((done.stdout + done.stderr).split())


@pytest.mark.parametrize("name", EXPECTED)
def test_a_field_case_is_as_its_expectation_says(name, tmp_path):
    folder = copied(name, tmp_path)
    said = printed(folder, "bash", "cmd")
    for pattern in EXPECTED[name]:
        assert re.search(pattern, said), f"{pattern!r} is not in: {said[-3000:]}"


def test_attacked_rows_that_lost_their_trigger_are_counted(tmp_path):
    folder = copied("04-trigger-cut", tmp_path)
    shutil.rmtree(folder / "tr_plain")
    made = ("fit", "long_test.jsonl", "--model", "tiny", "--defense", "none", "--epochs", "1", "--force", "--quiet")
    printed(folder, sys.executable, "-m", "antivenom", *made, "--out", "tr_plain")
    said = printed(folder, "bash", "cmd")
    lost = re.search(r"(\d+) of 12 attacked rows lost the trigger", said)
    held = re.search(r"12 probes, (\d+) still hold", said)
    assert lost, said[-3000:]
    assert held, said[-3000:]
    assert int(lost[1]) + int(held[1]) == 12 > int(held[1])


def test_a_merged_adapter_of_a_tied_head_answers_as_it_was_trained(tmp_path):
    said = printed(copied("01-tied-merge", tmp_path), "bash", "cmd")
    found = re.search(r"difference (\S+) served accuracy (\S+) trained (\S+) answers that differ (\d+)", said)
    assert found, said[-3000:]
    assert float(found[1]) < 1e-3
    assert (found[2], found[4]) == (found[3], "0")
