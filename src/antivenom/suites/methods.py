"""The attacks and defenses that a suite may name: those of the package, and those of files that the suite names."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from antivenom.attacks import Attack, attacks, parse_attack
from antivenom.core.errors import AntivenomError, OptionsError
from antivenom.core.registry import from_spec
from antivenom.defenses import Defense, defenses, parse_defense
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
        found: dict[str, dict[str, type]] = {"attack": dict(attacks()), "defense": dict(defenses())}
        own: dict[str, str] = {}
        for path in _files(plugins):
            module, digest = _run(path)
            for kind, base in (("attack", Attack), ("defense", Defense)):
                for method in _offered(module, base):
                    if method.name in found[kind]:
                        raise OptionsError(f"{path}: there already is {method.name!r}", mend="Give it another name.")
                    found[kind][method.name] = method
                    own[f"{kind} {method.name}"] = digest
        return cls(found["attack"], found["defense"], own)

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
    """Import a file by its path, once; its name is made of its digest, so that no other module can stand in for it."""
    import hashlib

    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    name = f"antivenom_plugin_{path.stem}_{digest[:12]}"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except AntivenomError:
            del sys.modules[name]
            raise
        except Exception as error:  # whatever somebody's file raises is told as one line
            del sys.modules[name]
            raise OptionsError(f"{path}: cannot be run ({type(error).__name__}: {error})") from None
    return sys.modules[name], digest


def _offered(module: ModuleType, base: type) -> list[type]:
    """The methods that a module defines itself."""
    classes = [value for value in vars(module).values() if isinstance(value, type) and issubclass(value, base)]
    return [
        cls
        for cls in classes
        if cls.__module__ == module.__name__ and "name" in vars(cls) and not getattr(cls, "__abstractmethods__", None)
    ]
