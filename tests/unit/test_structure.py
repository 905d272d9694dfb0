"""The sizes that keep the code readable in one sitting."""

from __future__ import annotations

import ast
import statistics
from pathlib import Path

import antivenom

SOURCE = Path(antivenom.__file__).parent
MOST_LINES, LONGEST_FUNCTION, LARGEST_MEDIAN = 300, 60, 10
SAYS_NOTHING = {"utils.py", "helpers.py", "misc.py", "common.py"}


def functions() -> list[tuple[str, int]]:
    """Each function with its length in lines."""
    found = []
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found.append((f"{path.name}: {node.name}", (node.end_lineno or 0) - node.lineno + 1))
    return found


def test_functions_are_short():
    lengths = functions()
    assert not [name for name, lines in lengths if lines > LONGEST_FUNCTION]
    assert statistics.median(lines for _, lines in lengths) <= LARGEST_MEDIAN


def test_modules_are_short_and_their_names_say_something():
    paths = list(SOURCE.rglob("*.py"))
    assert not [path.name for path in paths if path.read_text(encoding="utf-8").count("\n") > MOST_LINES]
    assert not [path.name for path in paths if path.name in SAYS_NOTHING]
