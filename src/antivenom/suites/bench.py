"""Where a cell works: what it fits is counted, and what a defense is told by models is kept for a replay."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from antivenom.core.arrays import Ints
from antivenom.core.files import new_folder
from antivenom.core.processes import on_first
from antivenom.defenses import Prepared
from antivenom.guards.guard import Guard
from antivenom.models.lab import Example, Fitted, TrainingChanges
from antivenom.suites.cell import Cell
from antivenom.suites.cell_rows import tokens_of
from antivenom.suites.identity import model_place
from antivenom.suites.kept_work import keep_work, key_of_pieces
from antivenom.suites.record import Results
from antivenom.suites.recorded import Recorded
from antivenom.suites.stored import StoredReferee
from antivenom.training.fit import fingerprint_of, settled
from antivenom.training.lab import LocalLab


@dataclass
class Bench:
    """Where a cell works: its results folder, its data, and what it has spent so far."""

    results: Results
    data: Path
    cell: Cell
    quiet: bool = True
    fits: list[str] = field(default_factory=list)
    train_seconds: float = 0.0
    tokens: int = 0
    precision: str = ""
    """What the last training computed in, which `auto` leaves to the machine."""

    @property
    def work(self) -> Path:
        """Trained models and what else can be made again."""
        return self.results.folder / "work"

    @cached_property
    def lab(self) -> LocalLab:
        """Fits and asks models; its store is shared by all cells of the results folder."""
        training = self.cell.recipe.training()
        return LocalLab(self.model(), training, self.work / "fits", self.cell.seed, self.quiet)

    def artifact(self, prepared: Prepared, name: str) -> Path:
        """The artifact of a training, which is done unless the results folder already holds this very one."""
        options, seed = settled(self.lab.options.on(prepared), self.lab.located), self.cell.seed
        key = fingerprint_of(prepared, self.lab.located, options, seed)
        located = self.lab.located
        anywhere = replace(located, identity=replace(located.identity, id=""))
        self.fits.append(fingerprint_of(prepared, anywhere, options, seed))
        self.tokens += round(options.epochs * tokens_of(prepared, located.folder))
        self.precision = options.precision
        with self.results.locked(f"fit-{key}"):
            start = time.perf_counter()
            folder = self.lab.artifact(prepared, name=name)
            self.train_seconds += time.perf_counter() - start
        return folder

    def model(self) -> str:
        """The model as the training takes it; the tiny ones are made here."""
        name = self.cell.model
        if name not in ("tiny", "tiny_vision"):
            return model_place(name, self.data)
        folder = self.work / "models" / name
        with self.results.locked(name):
            on_first(lambda: _make_tiny(folder))
        return str(folder)


@dataclass(frozen=True)
class WatchedLab:
    """A laboratory that counts its fits, and keeps what each of them says of all training rows."""

    bench: Bench
    rows: pa.Table
    """All training rows."""
    kept: Path
    """Where answers are kept."""
    asked: list[tuple[int, StoredReferee, Recorded]] = field(default_factory=list)
    """The fits so far."""

    has_model = True

    @property
    def seed(self) -> int:
        """The cell's."""
        return self.bench.cell.seed

    def base(self, guard: Guard) -> Fitted:
        """The untouched base model behind a guard."""
        return self.bench.lab.base(guard)

    def fit(self, rows: pa.Table, guard: Guard, *, name: str, training: TrainingChanges = TrainingChanges()) -> Fitted:
        """Fine-tune, or find what was fine-tuned before; and ask about every row, for a replay."""
        prepared = Prepared(rows, guard, training=training)
        self.bench.artifact(prepared, name)
        fitted = self.bench.lab.fit(rows, guard, name=name, training=training)
        if not self.bench.cell.keep_states or guard.task.classes is None:
            return fitted
        stored = StoredReferee.ask(fitted, self.rows, rows)
        recorded = Recorded(fitted)
        self.asked.append((len(self.bench.fits), stored, recorded))
        return recorded

    def keep(self) -> None:
        """Write down what the fits of a defense said, once it has decided."""
        for number, stored, recorded in self.asked:
            stored.joined(recorded.said).write(self.kept / f"referee-{number:02}.parquet")

    def examples(self, rows: pa.Table, guard: Guard) -> list[Example]:
        """Prepared rows as the model reads them."""
        return self.bench.lab.examples(rows, guard)

    def word_pieces(self, words: Sequence[str]) -> Ints:
        """How many tokens each word is cut into, kept for a replay as well."""
        found = self.bench.lab.word_pieces(words)
        if self.bench.cell.keep_states and len(words):
            on_first(lambda: keep_work(self.kept, key_of_pieces(words), found[:, np.newaxis]))
        return found

    def stored(self, key: Sequence[Any], make: Callable[[], npt.NDArray[Any]]) -> npt.NDArray[Any]:
        """Finished work by content, kept for a replay as well."""
        found = self.bench.lab.stored(key, make)
        if self.bench.cell.keep_states:
            on_first(lambda: keep_work(self.kept, key, found))
        return found


def _make_tiny(folder: Path) -> None:
    """Make a tiny model, unless it is there."""
    from antivenom.testing import tiny_model, tiny_vision_model

    if not folder.exists():
        with new_folder(folder) as made:
            (tiny_vision_model if folder.name == "tiny_vision" else tiny_model)(made)
