"""A folder of results: one record a cell, written last; why others failed; and locks, so that no cell runs twice."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from antivenom.core.claims import require_empty, require_no_links
from antivenom.core.errors import AntivenomError, ArtifactError
from antivenom.core.files import make_folder, remove_file, write_json
from antivenom.core.intake import read_json
from antivenom.core.locks import locked
from antivenom.core.options import Options
from antivenom.core.processes import on_first
from antivenom.evaluation.conditions import ON_TARGET
from antivenom.evaluation.left_out import LeftOut
from antivenom.suites.cell import Cell
from antivenom.suites.effects import Effects
from antivenom.suites.plan import Planned
from antivenom.suites.suite import Suite

PLAN = "suite.json"
SCHEMA = 1
"""Of a record; goes up when a reader of older records would be misled."""
ROUNDING = 1e-6


@dataclass(frozen=True)
class Teaching(Options):
    """What became of the training rows; a row is taught if it is trained on in the label space that is read."""

    poisoned: int
    poison_taught: int
    """Poisoned rows that are taught with the attacker's answer."""
    poison_corrected: int
    """Poisoned rows that are taught with the answer that they had before."""
    honest: int
    honest_lost: int
    """Other rows that are not taught."""
    honest_changed: int
    """Other rows that are taught with another answer than their own."""

    @property
    def left_out(self) -> LeftOut:
        """What is not taught with the answer that it was given, as a search for poison: recall and precision."""
        found = self.poisoned - self.poison_taught
        return LeftOut(found + self.honest_lost, found, self.poisoned)


@dataclass(frozen=True)
class Ledger(Options):
    """What a cell cost, apart from what it shares with cells that ran before."""

    seconds: float
    cpu_seconds: float
    """Processor time of all its threads: what is left of `seconds` where other programs take the machine's time."""
    train_seconds: float
    tokens: int
    """That went through the model in training: tokens of the rows times epochs, a defense's own fits included."""
    peak_memory_mib: float
    """Of the process."""
    peak_gpu_mib: float = 0.0
    processes: int = 1
    """Of the training; seconds and memory are of the first."""


@dataclass(frozen=True, kw_only=True)
class Record(Options):
    """Everything about a finished cell. But for `ledger` and `machine`, the same cell gives the same record."""

    schema: int = SCHEMA
    id: str
    cell: Cell
    evaluation: dict[str, Any]
    """As `evaluation.record.Evaluation` writes it; nothing was measured where nothing was trained."""
    rows: dict[str, int | str]
    """How many of each kind, and digests."""
    teaching: Teaching
    effects: Effects
    facts: dict[str, Any] = field(default_factory=dict)
    """What the defense says that it did."""
    approximation: str = ""
    """How the attack and the defense depart from the published ones."""
    fits: tuple[str, ...] = ()
    """Digests of what each training was given, a defense's own first."""
    ledger: Ledger
    machine: dict[str, Any] = field(default_factory=dict)

    def rate(self, name: str) -> dict[str, Any]:
        """A rate of the first attack: hits, total, value, low, high.

        `accuracy` is that of clean rows, `robust` that of attacked rows, and `robust_target` that of rows of the target
        label with the trigger, where these were measured.
        """
        reading = self.attack
        if name == "robust":
            attacked: dict[str, Any] = reading.get("accuracy", {})
            return attacked
        if name == "robust_target":
            of_target = [one for one in self.evaluation["attacks"] if one["attack"].startswith(ON_TARGET)]
            return of_target[0]["accuracy"] if of_target else {}
        if name == "accuracy":
            own = reading.get("accuracy_clean") if reading else None
            found: dict[str, Any] = own or self.evaluation["clean"].get("accuracy", {})
            return found
        value = reading.get(name) if reading else None
        return value if isinstance(value, dict) else {}

    @property
    def attack(self) -> dict[str, Any]:
        """The readings of the attack, of all its triggers together where it has several; empty for none."""
        attacks = self.evaluation["attacks"]
        found: dict[str, Any] = attacks[0] if attacks else {}
        return found

    @property
    def excess(self) -> float | None:
        """Attack success as deployed, less the floor."""
        return self.attack.get("excess")


@dataclass(frozen=True)
class Results:
    """A folder of results."""

    folder: Path

    def record_path(self, key: str) -> Path:
        """Where the record of a cell is, or will be."""
        return self.folder / "records" / f"{key}.json"

    def is_done(self, key: str) -> bool:
        """Whether a cell has its record."""
        return self.record_path(key).is_file()

    def write(self, record: Record) -> None:
        """Write a record, which makes its cell finished."""
        write_json(self.record_path(record.id), record.to_dict())
        remove_file(self._failure_path(record.id))

    def read(self, key: str) -> Record:
        """Read a record.

        Raises:
            ArtifactError: it is not there, or no record.
            OptionsError: its fields are not those of this version.
        """
        path = self.record_path(key)
        data = read_json(path, error=ArtifactError, root=self.folder)
        if not isinstance(data, dict) or data.get("schema") != SCHEMA:
            raise ArtifactError(f"{path} is no record of schema {SCHEMA}", mend="Read it with the version it is of.")
        return Record.from_dict(data)

    def records(self) -> dict[str, Record]:
        """Every record by its cell."""
        return {path.stem: self.read(path.stem) for path in sorted((self.folder / "records").glob("*.json"))}

    def fail(self, key: str, why: str) -> None:
        """Note why a cell has no record."""
        write_json(self._failure_path(key), {"id": key, "why": why})

    def forget_failure(self, key: str) -> None:
        """Forget why a cell failed the last time: it is tried again."""
        remove_file(self._failure_path(key))

    def failure(self, key: str) -> str:
        """Why a cell failed the last time; empty if it did not."""
        path = self._failure_path(key)
        if not path.is_file():
            return ""
        return str(read_json(path, error=ArtifactError, root=self.folder).get("why", ""))

    def write_plan(self, suite: Suite, planned: Sequence[Planned], cells: dict[str, Cell]) -> None:
        """Keep what was asked: the suite as resolved, the grid, and what each cell is.

        Raises:
            ArtifactError: the folder is not empty and holds no plan of ours, or holds links.
        """
        grid = [each.to_dict() for each in planned]
        make_folder(self.folder)
        with locked(self.folder, "bench run", wait=True):
            self.require_ours()
            write_json(self.folder / PLAN, {"schema": SCHEMA, "suite": suite.to_dict(), "grid": grid})
        for key, cell in cells.items():
            path = self.folder / "cells" / f"{key}.json"
            if not path.is_file():
                write_json(path, cell.to_dict())

    def require_ours(self) -> None:
        """Refuse to write into a folder that is not empty and holds no plan of ours; the plan is our note in it.

        Raises:
            ArtifactError: says what else is there.
        """
        if self.is_ours:
            require_no_links(self.folder)
        else:
            require_empty(self.folder)

    @property
    def is_ours(self) -> bool:
        """Whether the folder holds the plan of a suite."""
        try:
            found = read_json(self.folder / PLAN, root=self.folder)
        except AntivenomError:
            return False
        return isinstance(found, dict) and {"schema", "suite", "grid"} <= found.keys()

    def plan(self) -> tuple[Suite, list[Planned]]:
        """What was asked the last time.

        Raises:
            ArtifactError: nothing ever was.
        """
        path = self.folder / PLAN
        if not path.is_file():
            raise ArtifactError(
                f"{self.folder} holds no results of a suite",
                mend=f"Make some: antivenom bench run SUITE.yaml --out {self.folder}",
            )
        data = read_json(path, error=ArtifactError, root=self.folder)
        return Suite.from_dict(data["suite"]), [Planned.from_dict(each) for each in data["grid"]]

    def cell(self, key: str) -> Cell:
        """What a cell is.

        Raises:
            ArtifactError: nobody planned such a cell.
        """
        path = self.folder / "cells" / f"{key}.json"
        return Cell.from_dict(read_json(path, error=ArtifactError, root=self.folder))

    @contextlib.contextmanager
    def locked(self, name: str) -> Iterator[None]:
        """Hold a lock while the block runs, after waiting for whoever holds it; the system frees it when we die.

        Of the processes of one training, which all get here, the first holds it for all.
        """
        import fcntl

        path = self.folder / "work" / "locks" / name
        make_folder(path.parent)
        handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o644)
        try:
            on_first(lambda: fcntl.flock(handle, fcntl.LOCK_EX))
            yield
        finally:
            os.close(handle)

    def _failure_path(self, key: str) -> Path:
        return self.folder / "failures" / f"{key}.json"


def same_but_for_cost(first: Record, second: Record) -> bool:
    """Whether two records say the same of a cell, time and machine aside.

    Counts and words are compared exactly, other numbers to `ROUNDING`: sums of floating-point numbers depend on how
    many threads add them.
    """
    one, two = ({**each.to_dict(), "ledger": None, "machine": None} for each in (first, second))
    return _alike(json.loads(json.dumps(one)), json.loads(json.dumps(two)))


def _alike(one: Any, two: Any) -> bool:
    if isinstance(one, float) and isinstance(two, float):
        return math.isclose(one, two, rel_tol=ROUNDING, abs_tol=ROUNDING)
    if isinstance(one, dict) and isinstance(two, dict):
        return one.keys() == two.keys() and all(_alike(one[key], two[key]) for key in one)
    if isinstance(one, list) and isinstance(two, list):
        return len(one) == len(two) and all(map(_alike, one, two))
    return bool(one == two)
