"""Commands that say what there is: methods with all that is known of them, and tasks by name."""

from __future__ import annotations

import ast
import inspect
import itertools
import json as json_text
import textwrap
from collections.abc import Mapping
from typing import Any

from antivenom.cli.options import Json
from antivenom.core.console import say, say_json, say_table
from antivenom.core.errors import OptionsError
from antivenom.core.registry import Method
from antivenom.defenses import Defense

Kinds = Mapping[str, Mapping[str, type[Method]]]


def methods(name: str | None = None, /, *, json: Json = False) -> int:
    """List every attack, defense and judge, or explain one with its options and presets (asked for as NAME@PRESET).

    Parameters
    ----------
    name
        The method to explain.
    """
    from antivenom.attacks import attacks
    from antivenom.defenses import defenses
    from antivenom.judges import judges

    found: Kinds = {"attack": attacks(), "defense": defenses(), "judge": judges()}
    if name is not None:
        named = _named(name.partition("@")[0].partition(":")[0], found)
        if json:
            say_json({kind: _facts(cls) for kind, cls in named.items()})
        else:
            for kind, cls in named.items():
                _explain(kind, cls)
    elif json:
        say_json({kind: {one: _facts(cls) for one, cls in classes.items()} for kind, classes in found.items()})
    else:
        _list(found)
    return 0


def tasks(*, json: Json = False) -> int:
    """List the tasks that --task knows by name, with their variants (asked for as NAME@VARIANT)."""
    from antivenom.tasks.task_files import presets

    if json:
        say_json({name: file.said for name, file in presets().items()})
        return 0
    rows = [[name, file.kind, file.about, ", ".join(file.variants)] for name, file in presets().items()]
    say_table("tasks", ["name", "kind", "what it is", "variants"], rows, left=4)
    return 0


def field_docs(cls: type[Any]) -> dict[str, str]:
    """The docstring under each field of a dataclass, those that it inherits too."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if not base.__module__.startswith("builtins"):
            found |= _docs_in(base)
    return found


def _docs_in(cls: type[Any]) -> dict[str, str]:
    try:
        [tree] = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    except (OSError, TypeError, SyntaxError, ValueError):
        return {}  # made at run time: there is no source to read
    body = tree.body if isinstance(tree, ast.ClassDef) else []
    found = {}
    for field, under in itertools.pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(under, ast.Expr):
            said = under.value.value if isinstance(under.value, ast.Constant) else None
            if isinstance(said, str):
                found[field.target.id] = " ".join(said.split())
    return found


def _named(name: str, found: Kinds) -> dict[str, type[Method]]:
    """The methods of a name; an attack and a defense may share one.

    Raises:
        OptionsError: there is none.
    """
    from difflib import get_close_matches

    named = {kind: classes[name] for kind, classes in found.items() if name in classes}
    if not named:
        near = get_close_matches(name, [one for classes in found.values() for one in classes], n=1)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        raise OptionsError(f"there is no method {name!r}", mend=f"{hint}`antivenom methods` lists them.")
    return named


def _facts(cls: type[Method]) -> dict[str, Any]:
    """Options with defaults, presets, and where a method acts, what it needs and costs."""
    acts = {"stages": cls.stages, "costs": cls.costs} if issubclass(cls, Defense) else {}
    return {**cls().to_dict(), **acts, "needs": cls.needs, "presets": dict(cls.presets)}


def _list(found: Kinds) -> None:
    for kind, classes in found.items():
        rows = [[name, _in_short(cls)] for name, cls in classes.items()]
        say_table(f"{kind}s", ["name", "what it does"], rows, left=2)
    say("antivenom methods NAME explains one: options, needs, costs, and how it departs from its source.")


def _explain(kind: str, cls: type[Method]) -> None:
    say(f"{cls.name}, {'an' if kind[0] in 'aeiou' else 'a'} {kind}")
    say(*inspect.cleandoc(cls.__doc__ or "").splitlines(), "")
    if issubclass(cls, Defense):
        say(f"Stages: {', '.join(cls.stages)}. Works on: {', '.join(cls.kinds)}. Costs: {cls.costs}.")
    say(f"Needs: {'; '.join(cls.needs) or 'nothing else'}.")
    if cls.approximation:
        say(f"Approximation: {cls.approximation}.")
    for preset, values in cls.presets.items():
        shown = ", ".join(f"{key} = {json_text.dumps(value, ensure_ascii=False)}" for key, value in values.items())
        say(f"{cls.name}@{preset}: {shown}")
    said, usual = field_docs(cls), list(cls().to_dict().items())[1:]
    rows = [[name, json_text.dumps(value, ensure_ascii=False), said.get(name, "")] for name, value in usual]
    if rows:
        say_table("options", ["name", "default", "what it does"], rows, left=3)


def _in_short(cls: type[Method]) -> str:
    said = [(cls.__doc__ or "").splitlines()[0]]
    if cls.approximation:
        said.append("(approximation)")
    return " ".join([*said, *(f"@{preset}" for preset in cls.presets)])
