"""The attacks and defenses that a suite may name: those of the package, and those of files that the suite names."""

from __future__ import annotations

import ast
import hashlib
import importlib
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from antivenom.attacks import Attack, attacks, parse_attack
from antivenom.core.errors import AntivenomError, OptionsError
from antivenom.core.intake import require_regular
from antivenom.core.registry import MethodType, from_spec
from antivenom.defenses import Defense, defenses, parse_defense
from antivenom.suites.code import KINDS, code_of, imported_by
from antivenom.suites.suite import ALL, Choice


@dataclass(frozen=True)
class Methods:
    """Every attack and defense by name."""

    attacks: Mapping[str, type[Attack]]
    defenses: Mapping[str, type[Defense]]
    own: Mapping[str, str] = field(default_factory=dict)
    """Digest of the file of each method that is not the package's, by kind and name."""

    @classmethod
    def load(cls, plugins: Iterable[str] = ()) -> Methods:
        """Find the package's methods, and run the files of `plugins`, which the user has agreed to.

        Raises:
            OptionsError: a file is not there, cannot be run, or offers a name that is taken.
        """
        found = cls(dict(attacks()), dict(defenses()))
        for path in _files(plugins):
            module, digest = _run(path)
            found = cls(
                {**found.attacks, **_new(_offered(module, Attack), found.attacks, path)},  # type: ignore[type-abstract]
                {**found.defenses, **_new(_offered(module, Defense), found.defenses, path)},
                {**found.own, **{f"{kind} {name}": digest for kind, name in _names(module)}},
            )
        return found

    def attack(self, spec: str) -> Attack:
        """Build an attack.

        Raises:
            OptionsError: there is none of that name, or an option does not fit.
        """
        return from_spec(spec, dict(self.attacks)) if f"attack {_name(spec)}" in self.own else parse_attack(spec)

    def defense(self, spec: str) -> Defense:
        """Build a defense.

        Raises:
            OptionsError: there is none of that name, or an option does not fit.
        """
        return from_spec(spec, dict(self.defenses)) if f"defense {_name(spec)}" in self.own else parse_defense(spec)

    def choose(self, kind: str, choice: Choice) -> dict[str, str]:
        """Specs by what tables call them; `all` stands for every method of a kind with its usual options."""
        if choice == ALL:
            return {name: name for name in (self.attacks if kind == "attack" else self.defenses)}
        if isinstance(choice, str):
            return {choice: choice}
        return dict(choice) if isinstance(choice, Mapping) else {spec: spec for spec in choice}


def _name(spec: str) -> str:
    return spec.partition(":")[0].partition("@")[0].strip()


def _files(plugins: Iterable[str]) -> list[Path]:
    """The Python files that are named, and those of the folders that are."""
    found: list[Path] = []
    for name in plugins:
        path = Path(name)
        if not path.exists():
            raise OptionsError(f"the plug-in {name} is not there", mend="Paths are relative to the suite's file.")
        found += sorted(path.glob("[!_]*.py")) if path.is_dir() else [path]
    return found


def _run(path: Path) -> tuple[ModuleType, str]:
    """Import a file by its path, once; its folder is a package of its own, so that `from .other import ...` works.

    Returns:
        The module, and a digest of the file, of those beside it that it imports, and of the code of ours that they use.
    """
    path = require_regular(path, error=OptionsError)
    package = f"antivenom_plugins_{hashlib.sha256(str(path.parent).encode()).hexdigest()[:12]}"
    if package not in sys.modules:
        holder = ModuleType(package)
        holder.__path__ = [str(path.parent)]
        sys.modules[package] = holder
    try:
        module = importlib.import_module(f"{package}.{path.stem}")
    except AntivenomError:
        raise
    except Exception as error:  # whatever somebody's file raises is told as one line
        raise OptionsError(f"{path}: cannot be run ({type(error).__name__}: {error})") from None
    files = sorted(_with_siblings(path))
    digests = [hashlib.sha256(each.read_bytes()).hexdigest() for each in files]
    ours = {name for each in files for name in imported_by(ast.parse(each.read_text(encoding="utf-8")))}
    digests += [code_of(name) for name in sorted(ours) if name.split(".")[1] in KINDS]
    return module, hashlib.sha256("".join(digests).encode()).hexdigest()


def _with_siblings(start: Path) -> set[Path]:
    """A file and those of its folder that it imports, directly or not."""
    found, left = set[Path](), {start}
    while left:
        path = left.pop()
        found.add(path)
        nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        relative = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.level == 1]
        names = {
            name for node in relative for name in ([node.module] if node.module else [one.name for one in node.names])
        }
        left |= {each for name in names if (each := path.with_name(f"{name}.py")).is_file()} - found
    return found


def _new(offered: list[type[MethodType]], known: Mapping[str, Any], path: Path) -> dict[str, type[MethodType]]:
    """The methods of a file by name.

    Raises:
        OptionsError: a name is taken.
    """
    for method in offered:
        if method.name in known:
            raise OptionsError(f"{path}: there already is {method.name!r}", mend="Give it another name.")
    return {method.name: method for method in offered}


def _names(module: ModuleType) -> list[tuple[str, str]]:
    attacks_of = [("attack", method.name) for method in _offered(module, Attack)]  # type: ignore[type-abstract]
    return [*attacks_of, *(("defense", method.name) for method in _offered(module, Defense))]


def _offered(module: ModuleType, base: type[MethodType]) -> list[type[MethodType]]:
    """The methods that a module defines itself."""
    classes = [value for value in vars(module).values() if isinstance(value, type) and issubclass(value, base)]
    return [
        cls
        for cls in classes
        if cls.__module__ == module.__name__ and "name" in vars(cls) and not getattr(cls, "__abstractmethods__", None)
    ]
