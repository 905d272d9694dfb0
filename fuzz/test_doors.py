"""Random inputs at the doors, for FUZZ_SECONDS each: a result or an error of ours, never another exception."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from antivenom.artifacts.manifest import MANIFEST, Manifest
from antivenom.attacks import parse_attack
from antivenom.core.claims import NOTE, claim
from antivenom.core.console import markdown_text, printable, spreadsheet_cell
from antivenom.core.errors import AntivenomError
from antivenom.core.intake import strict_json
from antivenom.data.rows import load_rows
from antivenom.data.texts import iterate_texts
from antivenom.defenses import parse_defense
from antivenom.tasks.task_files import load_task

SECONDS = float(os.environ.get("FUZZ_SECONDS", "5"))

scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20))
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
lines = st.one_of(st.binary(max_size=80), values.map(lambda value: json.dumps(value).encode()))
files = st.lists(lines, max_size=6).map(b"\n".join)


def read_rows(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    load_rows(str(path))


def read_texts(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    list(iterate_texts(str(path)))


def read_manifest(path: Path, data: bytes) -> None:
    (path.parent / MANIFEST).write_bytes(data)
    Manifest.read(path.parent)


def read_task(path: Path, data: bytes) -> None:
    path.with_suffix(".yaml").write_bytes(data)
    load_task(str(path.with_suffix(".yaml")))


def read_note(path: Path, data: bytes) -> None:
    (path.parent / NOTE).write_bytes(data)
    claim(path.parent, "fit")


def read_json(path: Path, data: bytes) -> None:
    strict_json(data.decode("utf-8", "replace"), "fuzz")


def read_specs(path: Path, data: bytes) -> None:
    said = data.decode("utf-8", "replace")
    for parse in (parse_attack, parse_defense):
        with contextlib.suppress(AntivenomError):
            parse(said)


def speak(path: Path, data: bytes) -> None:
    said = data.decode("utf-8", "surrogateescape")
    assert printable(said).isprintable()
    assert markdown_text(said).isprintable()
    assert not spreadsheet_cell(said).startswith(("=", "@", "\t"))


TARGETS: dict[str, tuple[Callable[[Path, bytes], None], str]] = {
    "jsonl": (read_rows, "rows.jsonl"),
    "csv": (read_rows, "rows.csv"),
    "tsv": (read_rows, "rows.tsv"),
    "parquet": (read_rows, "rows.parquet"),
    "texts": (read_texts, "texts.jsonl"),
    "manifest": (read_manifest, "x"),
    "task": (read_task, "x"),
    "note": (read_note, "x"),
    "json": (read_json, "x"),
    "specs": (read_specs, "x"),
    "tongue": (speak, "x"),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", TARGETS)
def test_a_result_or_an_error_of_ours(name: str, tmp_path: Path) -> None:
    target, file = TARGETS[name]
    deadline, tried = time.monotonic() + SECONDS, 0

    @settings(max_examples=200, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(files)
    def once(data: bytes) -> None:
        nonlocal tried
        if time.monotonic() < deadline:
            tried += 1
            with contextlib.suppress(AntivenomError):
                target(tmp_path / file, data)

    while time.monotonic() < deadline:
        once()
    print(f"{name}: {tried} inputs")
    assert tried
