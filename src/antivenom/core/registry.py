"""Find the methods: every concrete subclass in a package, and those that installed packages offer.

Adding a method is adding a file. Nothing is registered by hand, so nothing can be forgotten.
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import inspect
import json
import pkgutil
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any, ClassVar, TypeVar

from antivenom.core.errors import OptionsError
from antivenom.core.options import Options

Presets = Mapping[str, Mapping[str, Any]]
"""Preset name -> option -> value."""


class Method(Options):
    """A named method with options: an attack or a defense."""

    name: ClassVar[str]
    """What users write to choose it; lower case, unique among its kind."""
    needs: ClassVar[tuple[str, ...]] = ()
    """What it cannot work without, in words: files, WordNet. Building one never fails for want of these; using it
    raises an error that says how to get them."""
    approximation: ClassVar[str] = ""
    """How it departs from the published method; empty when it is faithful."""
    presets: ClassVar[Presets] = {}
    """Named options, written `name@preset`: `paper_text` and `paper_code` where the paper and its code differ."""

    def to_dict(self) -> dict[str, Any]:
        """Return the name and the options."""
        return {"name": self.name, **super().to_dict()}

    def public_dict(self) -> dict[str, Any]:
        """What may stand in a log or a record: `to_dict` without the secrets, the fields that `repr` leaves out."""
        secret = {field.name for field in dataclasses.fields(self) if not field.repr}  # type: ignore[arg-type]
        return {key: value for key, value in self.to_dict().items() if key not in secret}

    def __str__(self) -> str:
        """`name:option=value;...`, only what differs from the defaults and is no secret; `from_spec` reads it back."""
        return self._changed(self.public_dict())

    def spec(self) -> str:
        """As `str`, with the secrets: for `from_spec`, never for a log."""
        return self._changed(self.to_dict())

    def _changed(self, values: dict[str, Any]) -> str:
        default = type(self)().to_dict()
        changed = {key: value for key, value in values.items() if default[key] != value}
        pairs = ";".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in changed.items())
        return f"{self.name}:{pairs}" if pairs else self.name


MethodType = TypeVar("MethodType", bound=Method)


def find_methods(base: type[MethodType], package: ModuleType) -> dict[str, type[MethodType]]:
    """Map each method's name to its class: the modules of `package`, then the entry points of its name.

    An installed package offers a method through an entry point in the group named like the package
    (`antivenom.attacks` or `antivenom.defenses`).
    """
    modules = [importlib.import_module(f"{package.__name__}.{m.name}") for m in pkgutil.iter_modules(package.__path__)]
    candidates = [value for module in modules for value in vars(module).values()]
    candidates += [_load(point) for point in entry_points(group=package.__name__)]
    found: dict[str, type[MethodType]] = {}
    for cls in candidates:
        is_method = inspect.isclass(cls) and issubclass(cls, base) and isinstance(getattr(cls, "name", None), str)
        if is_method and not inspect.isabstract(cls) and found.setdefault(cls.name, cls) is not cls:
            raise OptionsError(f"two methods are called {cls.name!r}: {found[cls.name]} and {cls}")
    return dict(sorted(found.items()))


def _load(point: EntryPoint) -> Any:
    """What an installed package offers.

    Raises:
        OptionsError: the package is broken.
    """
    try:
        return point.load()
    except (ImportError, AttributeError) as error:
        source = point.dist.name if point.dist is not None else point.value
        raise OptionsError(
            f"the package {source!r} offers {point.name!r} in {point.group}, which cannot be imported ({error})",
            mend="Repair or uninstall that package.",
        ) from None


def from_spec(spec: str, methods: dict[str, type[MethodType]]) -> MethodType:
    """Build a method from what a user wrote: `name`, `name:option=value;option=value`, or its JSON.

    A name may be followed by `@preset`; options that are written out win over the preset's. A value that holds a
    semicolon is written as JSON, in quotation marks.

    Raises:
        OptionsError: no such method (the nearest name is suggested), no such preset, or a wrong option.
    """
    if spec.lstrip().startswith("{"):
        data = _parse_json(spec)
        return _build(str(data.pop("name", "")), data, methods)
    name, _, rest = spec.partition(":")
    return _build(name.strip(), _parse_pairs(name, rest), methods)


def split_chain(spec: str) -> list[str]:
    """Cut `a:x=1+b` at the plus signs that stand in front of a name, outside quotation marks and brackets."""
    parts, depth, quoted, start = [], 0, False, 0
    for place, sign in enumerate(spec):
        if sign == '"' and spec[place - 1 : place] != "\\":
            quoted = not quoted
        elif not quoted:
            depth += (sign in "[{") - (sign in "]}")
            if sign == "+" and depth == 0 and spec[place + 1 : place + 2].isalpha():
                parts.append(spec[start:place])
                start = place + 1
    return [part.strip() for part in [*parts, spec[start:]] if part.strip()]


def _build(name: str, data: dict[str, Any], methods: dict[str, type[MethodType]]) -> MethodType:
    name, at, preset = name.partition("@")
    if name not in methods:
        near = difflib.get_close_matches(name, methods, n=1)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        # What is no word may be a secret that was written here by mistake.
        said = repr(name) if name.replace("_", "").replace("-", "").isalnum() else "method of the name that is given"
        raise OptionsError(f"there is no {said}", mend=f"{hint}There are: {', '.join(methods)}.")
    presets = methods[name].presets
    if at and preset not in presets:
        raise OptionsError(f"{name} has no preset {preset!r}", mend=f"There are: {', '.join(presets) or 'none'}.")
    return methods[name].from_dict({**(presets[preset] if at else {}), **data})


def _parse_pairs(name: str, text: str) -> dict[str, Any]:
    """Read `option=value;option=value`. Messages never show a value, because it may be a secret."""
    data: dict[str, Any] = {}
    rest = text.strip("; ")
    while rest:
        key, equals, rest = rest.partition("=")
        if not equals or ";" in key:
            where = f"what follows the option {list(data)[-1]!r}" if data else "what follows the colon"
            raise OptionsError(
                f"{name}: {where} is not option=value",
                mend=f"Write {name}:option=value;option=value, and a value that holds a semicolon in quotation marks.",
            )
        if key.strip() in data:
            raise OptionsError(f"option {key.strip()!r} is given twice")
        data[key.strip()], rest = _take_value(rest.lstrip())
        rest = rest.strip("; ")
    return data


def _parse_json(text: str) -> dict[str, Any]:
    """Read a JSON object. Messages never show it, because it may hold a secret."""
    example = '{"name": "p2p", "ratio": 0.3}'
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise OptionsError(
            f"a method is not JSON though it begins like it: {error}", mend=f"Write {example}."
        ) from None
    if not isinstance(data, dict):
        raise OptionsError(f"a method is {type(data).__name__} in JSON", mend=f"Write {example}.")
    return data


def _take_value(text: str) -> tuple[Any, str]:
    """Split a value off: JSON, which may hold a semicolon, or else a plain string, so that words need no quotes."""
    try:
        value, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        pass
    else:
        rest = text[end:].lstrip()
        if not rest or rest.startswith(";"):
            return value, rest
    plain, _, rest = text.partition(";")
    return plain.strip(), rest
