"""The one tongue: nothing that rows hold can steer a terminal, forge a line, or become a formula."""

from __future__ import annotations

import ast
import json
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import antivenom
from antivenom.cli.failures import Terminated, explain
from antivenom.core.console import (
    html_text,
    latex_text,
    markdown_text,
    printable,
    say,
    say_json,
    say_table,
    spreadsheet_cell,
    warn,
)
from antivenom.core.errors import ArtifactError

SOURCE = Path(antivenom.__file__).parent
HOSTILE = [
    "\x1b[2J",
    "a\nPASSED",
    "\u202egnp",
    "\x9b31m",
    "x\u2028PASSED",
    "\x07",
    "\r\x1b[A",
    "\ud800",
    "[red]a[/red]",
]
anything = st.one_of(st.text(max_size=30), st.sampled_from(HOSTILE))


def printed(encoding: str, monkeypatch: pytest.MonkeyPatch, show) -> str:
    raw = BytesIO()
    with monkeypatch.context() as patched:
        patched.setattr("sys.stdout", TextIOWrapper(raw, encoding=encoding))
        show()
        return raw.getvalue().decode(encoding)


def harmless(text: str) -> bool:
    return text.replace("\n", "").isprintable()


@given(st.lists(anything, max_size=4))
def test_every_argument_becomes_one_harmless_line(lines):
    with pytest.MonkeyPatch.context() as monkeypatch:
        for encoding in ("utf-8", "ascii", "latin-1"):
            shown = printed(encoding, monkeypatch, lambda: say(*lines))
            assert harmless(shown)
            assert shown.count("\n") == max(1, len(lines))


@given(anything)
def test_messages_of_errors_cannot_forge_a_line(text):
    failure = explain(ArtifactError(f"the label {text!s} is unknown", mend=f"Not {text}."))
    assert len(failure.lines) == 2
    assert len(str(ArtifactError(text, mend=text)).split("\n")) <= 2


@given(st.lists(st.tuples(anything, anything), min_size=1, max_size=3), anything)
def test_rows_of_a_table_cannot_forge_others_or_use_markup(rows, head):
    with pytest.MonkeyPatch.context() as monkeypatch:
        for encoding in ("utf-8", "ascii"):
            shown = printed(encoding, monkeypatch, lambda: say_table("t", [head, "b"], rows, ruled=True))
            assert harmless(shown)
            assert "[2J" not in shown.replace("\\x1b[2J", "")
    assert not any(line.strip().startswith("PASSED") for line in shown.splitlines())


def test_markup_in_a_cell_is_shown_as_it_is(monkeypatch):
    assert "[red]a[/red]" in printed("utf-8", monkeypatch, lambda: say_table("", ["[b]h"], [["[red]a[/red]"]]))


@given(st.dictionaries(anything, st.lists(anything, max_size=3), max_size=3))
def test_json_is_harmless_and_says_the_same(data):
    with pytest.MonkeyPatch.context() as monkeypatch:
        for encoding in ("utf-8", "ascii", "latin-1"):
            for indent in (None, 2):
                shown = printed(encoding, monkeypatch, lambda indent=indent: say_json(data, indent=indent))
                assert harmless(shown)
                assert json.loads(shown) == data


@pytest.mark.parametrize("cell", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(1)", "\t=1", " =1", "\r=1", "|x", "%0A"])
def test_formulas_are_text_in_a_spreadsheet(cell):
    assert spreadsheet_cell(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["", "positive", "-1", "+3.5", "-10%", "a=b", "1-2"])
def test_other_cells_stay_as_they_are(cell):
    assert spreadsheet_cell(cell) == cell


@given(anything)
def test_markdown_has_no_markup_and_no_second_line(text):
    shown = markdown_text(text)
    assert shown.isprintable()
    for sign in "|<[*`":
        assert all(shown[i - 1] == "\\" for i, c in enumerate(shown) if c == sign)


@given(anything)
def test_html_and_latex_show_what_is_there(text):
    assert html_text(text).isprintable()
    assert not set("<>\"'") & set(html_text(text))
    assert latex_text(text).isprintable()
    assert not [sign for sign in "&%#_{}" if f" {sign}" in latex_text(f" {sign}{text}")]


def test_nothing_is_escaped_past_the_console():
    imported = {
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module in ("html", "xml.sax.saxutils", "markupsafe")
    }
    assert imported == {"core/console.py"}


def test_a_closed_stream_takes_nothing(monkeypatch, capfd):
    monkeypatch.setattr("sys.stdout", None)
    monkeypatch.setattr("sys.stderr", None)
    say("a")
    warn("b")
    say_json({})
    say_table("", ["a"], [["b"]])
    assert capfd.readouterr() == ("", ""), "and no other stream takes it instead"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (KeyboardInterrupt(), 130),
        (Terminated(), 143),
        (BrokenPipeError(), 141),
        (ArtifactError("a"), 1),
        (OSError(28, "No space left on device"), 1),
        (MemoryError(), 1),
        (ModuleNotFoundError("no", name="peft"), 1),
        (KeyError("x\n\x1b[2J"), 70),
    ],
)
def test_each_failure_has_its_code_and_few_lines(error, code):
    failure = explain(error)
    assert failure.code == code
    assert len(failure.lines) <= 2
    assert all(harmless(printable(line)) for line in failure.lines)


def test_nothing_prints_past_the_console():
    past = []
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            prints = isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print"
            drawn = isinstance(node, ast.ImportFrom) and (node.module or "").startswith(("rich", "tqdm"))
            streams = isinstance(node, ast.Call) and ast.unparse(node.func) in ("sys.stdout.write", "sys.stderr.write")
            if (prints or drawn or streams) and path.relative_to(SOURCE).parts[-2:] not in ALLOWED:
                past.append(f"{path.relative_to(SOURCE)}:{node.lineno}")
    assert not past, "use core/console.py, and core/progress.py for bars"


ALLOWED = {
    ("core", "console.py"),
    ("core", "progress.py"),
    ("suites", "progress.py"),  # a live table, whose names pass `printable`
    ("cli", "help.py"),  # types of the help of the commands
}
