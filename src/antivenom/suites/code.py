"""The code that decides what a method does, as a digest: its module and what that imports, comments aside."""

from __future__ import annotations

import ast
import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

import antivenom

KINDS = ("attacks", "defenses", "screening", "rewriting", "guards", "judges", "tasks")
"""Packages whose code counts, where a method imports it, directly or not."""
SOURCE = Path(antivenom.__file__).parent


def code_of(module: str) -> str:
    """Digest of a module of the package and of what it imports from `KINDS`, comments and docstrings aside."""
    total = hashlib.sha256()
    for name in sorted(_reached(module)):
        total.update(f"{name} {_digest_of_source(name)}\n".encode())
    return total.hexdigest()


def _reached(start: str) -> set[str]:
    """The module itself, and all of `KINDS` that can be reached from it."""
    found, left = set[str](), {start}
    while left:
        name = left.pop()
        found.add(name)
        left |= {each for each in _imports(name) if each.split(".")[1] in KINDS} - found
    return found


@cache
def _imports(module: str) -> frozenset[str]:
    """The modules of this package that a module imports from, late imports too."""
    return imported_by(_tree(module))


def imported_by(tree: ast.Module) -> frozenset[str]:
    """The modules of this package that some code imports from, late imports too."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {each.name for each in node.names if each.name.startswith("antivenom.")}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("antivenom."):
            assert node.module is not None
            names |= {node.module, *(f"{node.module}.{each.name}" for each in node.names)}
    return frozenset(name for name in names if _path(name) is not None)


def _path(module: str) -> Path | None:
    base = SOURCE.joinpath(*module.split(".")[1:])
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


@cache
def _tree(module: str) -> ast.Module:
    path = _path(module)
    assert path is not None, module
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def _digest_of_source(module: str) -> str:
    return hashlib.sha256(json.dumps(_plain(_tree(module))).encode()).hexdigest()


def _plain(node: Any) -> Any:
    """A syntax tree as JSON values without docstrings and places; the same in every version of Python."""
    if isinstance(node, list):
        kept = [each for each in node if not (isinstance(each, ast.Expr) and isinstance(each.value, ast.Constant))]
        return [_plain(each) for each in kept]
    if isinstance(node, ast.AST):
        parts = {name: _plain(value) for name, value in ast.iter_fields(node) if value not in (None, [])}
        return [type(node).__name__, parts]
    return node if isinstance(node, str | int | float | bool | None) else repr(node)
