"""The tables of README.md and docs/science.md are what the records say."""

from pathlib import Path

import pytest
from benchmarks import report


def test_no_table_is_out_of_date(capsys):
    assert report.main(["--check"]) == 0, "run `python -m benchmarks.report`"
    assert "up to date" in capsys.readouterr().out


def test_a_typed_number_is_found_and_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- table: demo -->\n| 99.9 |\n<!-- end of table -->\nbehind\n", encoding="utf-8")
    monkeypatch.setattr(report, "PAGES", (str(page),))
    assert report.main(["--check"]) == 1
    assert "| 99.9 |" in page.read_text(encoding="utf-8"), "--check changes nothing"
    assert report.main([]) == 0
    written = page.read_text(encoding="utf-8")
    assert "| 99.9 |" not in written
    assert written.startswith("before\n<!-- table: demo -->\n|  | clean accuracy |")
    assert written.endswith("\n<!-- end of table -->\nbehind\n")
    assert report.main(["--check"]) == 0
