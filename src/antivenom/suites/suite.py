"""What a suite says: a grid in YAML, checked strictly; see docs/suites.md."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from antivenom.core.errors import OptionsError
from antivenom.core.intake import read_text
from antivenom.core.options import Options
from antivenom.core.plain_yaml import read_mapping
from antivenom.training.training_options import TrainingOptions

LARGEST_FILE = 2**20
"""Bytes; a suite takes a few thousand."""
DEEPEST = 5
"""Suites that include suites that include suites."""
ALL = "all"

Choice = dict[str, str] | tuple[str, ...] | str
"""Methods by the names that tables call them; or a list of specs, each called as it is written; or `all`."""


@dataclass(frozen=True, kw_only=True)
class TaskRows(Options):
    """A task, and where its rows are."""

    train: str
    """Training rows: a path below the data folder, `synthetic:N` or a hub name."""
    test: str
    """Test rows, likewise."""
    preset: str = ""
    """A task by name, or a YAML file; labels are read from the rows when empty."""
    train_rows: int | None = None
    """How many are drawn; all when not given."""
    test_rows: int | None = None
    """Likewise."""
    target: str | None = None
    """The answer that attackers want, where their spec does not say; otherwise the task's own."""
    split: str = "train"
    """The split of the training rows of a hub data set; its test rows are of the split `test`."""


@dataclass(frozen=True, kw_only=True)
class Recipe(TrainingOptions):
    """How to fine-tune, and with how many processes."""

    processes: int = 1
    """Processes of one training, under `accelerate launch`, when above 1."""

    def training(self) -> TrainingOptions:
        """The options of the training alone."""
        return TrainingOptions(**{each.name: getattr(self, each.name) for each in fields(TrainingOptions)})

    def changed(self) -> dict[str, Any]:
        """The options that are not at their usual values."""
        usual = Recipe().to_dict()
        return {name: value for name, value in self.to_dict().items() if usual[name] != value}


@dataclass(frozen=True)
class Controls(Options):
    """Trainings that no real defender can have; names of defenses, or `all`."""

    never_poisoned: tuple[str, ...] = ()
    """Fitted on the rows before the attack: what the trigger does there, it does without any poison."""
    perfect_filter: tuple[str, ...] = ()
    """Fitted on all rows but the poisoned ones: what leaving out the poison and nothing else costs."""


@dataclass(frozen=True)
class Needs(Options):
    """What running the suite takes."""

    memory_gib: float = 0
    """Of the GPU, or of the machine where there is none."""
    hours: float = 0
    """Of one GPU, or of one processor core where there is none."""
    estimate: bool = True
    """Whether nobody measured it."""
    note: str = ""
    """Anything else."""


@dataclass(frozen=True, kw_only=True)
class Suite(Options):
    """A grid of cells."""

    tasks: dict[str, TaskRows]
    models: dict[str, str]
    attacks: Choice
    defenses: Choice
    recipes: dict[str, Recipe] = field(default_factory=lambda: {"paper": Recipe()})
    about: str = ""
    seeds: tuple[int, ...] = (0,)
    rates: tuple[float, ...] = ()
    """Poison rates to cross the attacks with; as each attack says when empty."""
    trusted_share: float = 0.0
    controls: Controls = Controls()
    without: tuple[str, ...] = ()
    """Patterns of cells that are left out."""
    include: tuple[str, ...] = ()
    """Suites that this one was put together from."""
    plugins: tuple[str, ...] = ()
    """Files of methods, relative to the suite."""
    paper: str = ""
    """A CSV file of printed values, relative to the suite."""
    stands_for: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """What of ours stands beside printed values of another name, on any axis: `smollm2: [Qwen3-8B]`."""
    needs: Needs = Needs()
    keep_states: bool = True
    """Keep what models said of all rows to a defense, for a replay."""
    train: bool = True
    """Whether a model is trained; without one only the defenses' decisions about rows are counted."""

    def __post_init__(self) -> None:
        for name in ("tasks", "models", "attacks", "defenses", "recipes", "seeds"):
            if not getattr(self, name):
                raise OptionsError(f"the suite has no {name}", mend=f"Name at least one under `{name}:`.")
        if not 0 <= self.trusted_share < 1:
            raise OptionsError(f"trusted_share = {self.trusted_share}", mend="It is at least 0 and below 1.")


def load_suite(path: Path | str) -> Suite:
    """Read a suite and those that it includes.

    Args:
        path: The YAML file. Paths in an included file are relative to that file.

    Raises:
        OptionsError: it cannot be read, holds an unknown key (the nearest is named), or a value that does not fit.
    """
    found = _load(Path(path), DEEPEST)
    try:
        return Suite.from_dict(found)
    except OptionsError as error:
        raise OptionsError(f"{path}: {error.what}", mend=error.mend) from None


def _load(path: Path, deeper: int) -> dict[str, Any]:
    """The mapping of a file, over those of the files that it includes; paths of its own are made whole."""
    if not deeper:
        raise OptionsError(f"{path}: suites include each other more than {DEEPEST} levels deep")
    text = read_text(path, error=OptionsError, most_bytes=LARGEST_FILE)
    own = read_mapping(text, str(path))
    _require_known(own, str(path))
    for key in ("include", "plugins", "without", "seeds", "rates"):
        if key in own and isinstance(own[key], str):
            own[key] = [own[key]]
    for key in ("include", "plugins"):
        own[key] = [str(path.parent / name) for name in own.get(key, [])]
    if own.get("paper"):
        own["paper"] = str(path.parent / own["paper"])
    found: dict[str, Any] = {}
    for name in own["include"]:
        found = _over(_load(Path(name), deeper - 1), found)
    return _over(own, found)


def _over(upper: Mapping[str, Any], lower: Mapping[str, Any]) -> dict[str, Any]:
    """Both mappings; `upper` wins, and what both hold as mappings is joined."""
    found = {**lower, **upper}
    for key in upper.keys() & lower.keys():
        if isinstance(upper[key], Mapping) and isinstance(lower[key], Mapping):
            found[key] = {**lower[key], **upper[key]}
        elif key in ("plugins", "include"):
            found[key] = [*lower[key], *upper[key]]
    return found


def _require_known(data: Mapping[str, Any], where: str) -> None:
    known = [each.name for each in fields(Suite)]
    for key in data:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"Did you mean {near[0]!r}? " if near else ""
            raise OptionsError(f"{where}: there is no key {key!r}", mend=f"{hint}There are: {', '.join(known)}.")
