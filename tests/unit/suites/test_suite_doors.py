"""The doors of suites: whose folder is written to, what is read from one, and what its names can do in a report."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from antivenom.cli import main
from antivenom.core.errors import ArtifactError, OptionsError
from antivenom.core.files import require_outputs
from antivenom.suites.executors import Here
from antivenom.suites.page import page
from antivenom.suites.record import PLAN, Results
from antivenom.suites.replay import replay_defense
from antivenom.suites.run import run_suite
from antivenom.suites.table_text import latex, markdown
from antivenom.suites.tables import Table, TableCell

HOSTILE = '=cmd()|<script>x</script>\u202e"\n\x1b[2J![a](http://b)'


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A user's folder with names that suites use too."""
    folder = tmp_path / "project"
    for name in (PLAN, "report.md", "report.html", "cells.csv", "compare.md", "records/mine.json"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text('{"mine": 1}', encoding="utf-8")
    return folder


def test_a_folder_of_the_users_is_not_written_to(small_suite: Path, results: Path, project: Path):
    before = contents(project)
    with pytest.raises(ArtifactError, match="not empty"):
        run_suite(small_suite, out=project, data=Path(), executor=Here(), quiet=True)
    for words in ([str(results)], [str(results), str(results)]):
        assert main(["bench", "report", *words, "--out", str(project)]) == 1
    assert main(["bench", "export", str(results), "--out", str(project / "cells.csv")]) == 1
    assert contents(project) == before
    assert main(["bench", "export", str(results), "--out", str(project / "cells.csv"), "--force"]) == 0


def test_a_report_of_ours_is_written_again(results: Path, tmp_path: Path):
    for _ in range(2):
        assert main(["bench", "report", str(results), "--out", str(tmp_path / "report")]) == 0


def test_links_in_results_are_not_written_through(small_suite: Path, results: Path, tmp_path: Path):
    ours, elsewhere = tmp_path / "ours", tmp_path / "elsewhere"
    shutil.copytree(results, ours)
    elsewhere.mkdir()
    shutil.rmtree(ours / "failures", ignore_errors=True)
    (ours / "failures").symlink_to(elsewhere)
    for way in (
        lambda: run_suite(small_suite, out=ours, data=Path(), executor=Here(), quiet=True),
        lambda: Results(ours).require_ours(),
    ):
        with pytest.raises(ArtifactError, match="failures is a link"):
            way()
    assert main(["bench", "report", str(ours)]) == 1
    assert not any(elsewhere.iterdir())


def test_stored_answers_come_through_the_door(results: Path, tmp_path: Path):
    ours = tmp_path / "ours"
    shutil.copytree(results, ours)
    stored = sorted(ours.glob("replay/*/work-*.parquet"))
    for path in stored:
        path.unlink()
        os.mkfifo(path)
    assert stored
    [found] = replay_defense(ours, "standard")
    assert found.teaching is None
    assert "pipe" in found.why


def test_names_are_harmless_in_a_report():
    table = Table(HOSTILE, (HOSTILE,), ((TableCell(HOSTILE),),))
    shown = page(HOSTILE, HOSTILE, [(HOSTILE, HOSTILE)], [table], [])
    assert "<script>" not in shown
    assert "\u202e" not in shown + markdown(table) + latex(table)
    assert "\x1b" not in shown + markdown(table) + latex(table)
    assert len(markdown(table).splitlines()) == 5
    assert r"\<script\>" in markdown(table)
    assert all(line.count("&") == 0 for line in latex(table).splitlines())


def test_two_outputs_are_two_files(tmp_path: Path):
    place = str(tmp_path / "report")
    with pytest.raises(OptionsError, match="both name"):
        require_outputs({"--sarif": place, "--plot": None, "--junit": f"{tmp_path}/x/../report"}, force=True)
