"""What decides a cell's number, as one digest: rows, model, methods with their code, recipe, seed and control."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from antivenom.core.errors import OptionsError
from antivenom.defenses import Chain
from antivenom.suites.cell import Cell
from antivenom.suites.code import code_of
from antivenom.suites.methods import Methods
from antivenom.tasks.task_files import load_task

PROTOCOL = 1
"""Goes up when a change of training, models or evaluation moves numbers; tests hold those to the same ones."""
BUILT_IN = ("smollm2", "tiny", "tiny_vision")
MADE_UP = "synthetic:"
LEARNED = "{learned}"
"""What stands for the folder of what an attack learns from the rows."""
IN_DATA = "{data}/"
"""What stands for the data folder, so that no place of a machine is named."""


def identify(cell: Cell, methods: Methods, data: Path) -> str:
    """SHA-256 over everything that decides the number of a cell; docs/suites.md lists it.

    Args:
        cell: The cell.
        methods: What its specs name.
        data: The folder that its paths of rows are relative to.

    Raises:
        OptionsError: there is no such method, or a file of rows is not there.
    """
    attack, defense = methods.attack(cell.attack), methods.defense(cell.defense)
    rows = cell.task
    parts = {
        "protocol": PROTOCOL,
        "task": load_task(rows.preset).to_dict() if rows.preset else {},
        "rows": [_source(rows.train, data), _source(rows.test, data), rows.train_rows, rows.test_rows, rows.split],
        "target": rows.target,
        "model": _model(cell.model, data),
        "attack": [str(attack), _code("attack", attack, methods), *_files_of(attack.to_dict(), data), *_learning(cell)],
        "defense": [
            str(defense),
            _code("defense", defense, methods),
            _secrets(defense),
            *_files_of(defense.to_dict(), data),
        ],
        "recipe": cell.recipe.changed(),
        "seed": cell.seed,
        "control": cell.control,
        "trusted_share": cell.trusted_share,
        "keep_states": cell.keep_states,
        "train": cell.train,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:20]


def _code(kind: str, method: Any, methods: Methods) -> str:
    """The code of a method, of a chain that of its parts too; of a file that the suite names, its bytes."""
    if isinstance(method, Chain):
        return " ".join([code_of(Chain.__module__), *(_code(kind, part, methods) for part in method.parts)])
    own = methods.own.get(f"{kind} {method.name}")
    if own is not None:
        return own
    module = type(method).__module__
    if module.partition(".")[0] != "antivenom":  # of an installed package: the text of its module
        from importlib.util import find_spec

        spec = find_spec(module)
        origin = Path(spec.origin) if spec is not None and spec.origin else None
        return hashlib.sha256(origin.read_bytes()).hexdigest() if origin is not None else module
    return code_of(module)


def _secrets(defense: Any) -> str:
    """A digest of the options that are never shown, so that two secrets are two cells."""
    return hashlib.sha256(defense.spec().encode()).hexdigest()[:12] if defense.spec() != str(defense) else ""


def model_place(model: str, data: Path) -> str:
    """The name of a model with the folder where it is on this machine: `{data}/...` lies below the data folder.

    Raises:
        OptionsError: there is no such folder below it.
    """
    if not model.startswith(IN_DATA):
        return model
    folder = data / model.removeprefix(IN_DATA)
    if not folder.is_dir():
        raise OptionsError(f"there is no model {model}", mend="Put its folder there, or say another --data.")
    return str(folder)


def _model(model: str, data: Path) -> str:
    """The name of a model that its name alone fixes; the digest of a folder."""
    place = model_place(model, data)
    if place in BUILT_IN or not Path(place).is_dir():
        return place
    from antivenom.models.base_model import locate_model

    return locate_model(place).identity.sha256


def _source(source: str, data: Path) -> str:
    """The digest of a file of rows; the name of rows that are made up or come from the hub."""
    path = data / source
    if source.startswith((MADE_UP, "embedded:")) or not (path.exists() or "." in Path(source).suffix):
        return source
    if not path.exists():
        raise OptionsError(f"there is no file {source} in {data}", mend="Say with --data where the data sets are.")
    return _digest_of(path, path.stat().st_mtime_ns)


def _files_of(options: Any, data: Path) -> Iterator[str]:
    """Digests of the files that options name, as `{data}/...` or as they are."""
    if isinstance(options, dict | list | tuple):
        for value in options.values() if isinstance(options, dict) else options:
            yield from _files_of(value, data)
    elif isinstance(options, str) and options.startswith(IN_DATA):
        yield _source(options.removeprefix(IN_DATA), data)
    elif isinstance(options, str) and "." in options and _is_file(options):
        yield _digest_of(Path(options), Path(options).stat().st_mtime_ns)


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except (OSError, ValueError):  # too long a name, or one with a zero byte: some other text
        return False


def _learning(cell: Cell) -> Iterator[str]:
    """The code that learns what an attack plants, where it learns it from the rows."""
    if LEARNED in cell.attack:
        yield code_of("antivenom.attacks.substitution.learn")


@cache
def _digest_of(path: Path, _changed: int) -> str:
    paths = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    total = hashlib.sha256()
    for each in paths:
        with each.open("rb") as file:
            total.update(each.name.encode() + b"\0" + hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()
