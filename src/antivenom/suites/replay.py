"""What another decision rule would have done with the same rows and referees: no model is loaded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from antivenom.core.arrays import Ints
from antivenom.core.errors import AntivenomError, ArtifactError, RowsError
from antivenom.core.options import Options
from antivenom.guards.guard import Guard
from antivenom.models.lab import Example, Fitted, TrainingChanges
from antivenom.screening.subword_splits import uncut
from antivenom.suites.cell import Place, chosen
from antivenom.suites.decided import count_teaching, decided_rows
from antivenom.suites.kept_work import kept_work, key_of_pieces
from antivenom.suites.lines import Line, lines_of
from antivenom.suites.methods import Methods
from antivenom.suites.record import Teaching
from antivenom.suites.stored import StoredReferee, rows_to_replay

HEAD = ["cell", "poison taught", "corrected", "honest lost", "honest changed", "referee's rows"]


@dataclass(frozen=True)
class Replay(Options):
    """What a defense would have decided in one cell."""

    place: Place
    teaching: Teaching | None
    """None where it could not be asked; `why` says so."""
    same_referees: float
    """Share of the rows that the kept referees were trained on and that the new rule would train its referees on, of
    those that either has. 1: the replay is exact. Less: an estimate."""
    why: str = ""

    def cells(self) -> list[str]:
        """As a line of `HEAD`."""
        if self.teaching is None:
            return [str(self.place), self.why, "", "", "", ""]
        t = self.teaching
        counts = [f"{t.poison_taught} of {t.poisoned}", str(t.poison_corrected), f"{t.honest_lost} of {t.honest}"]
        exact = "exact" if self.same_referees == 1 else f"{100 * self.same_referees:.0f} % the same: an estimate"
        return [str(self.place), *counts, str(t.honest_changed), exact]


def replay_defense(folder: Path, spec: str, *, only: Sequence[str] = (), plugins: Sequence[str] = ()) -> list[Replay]:
    """Ask a defense about the rows of every setting that has stored referees, once for each task, attack and seed.

    Args:
        folder: The results.
        spec: The defense.
        only: Patterns of cells.
        plugins: Files of methods.

    Raises:
        ArtifactError: no finished cell fits, or none kept what a replay needs.
        OptionsError: there is no such defense.
    """
    methods = Methods.load(plugins)
    methods.defense(spec)
    lines = [line for line in lines_of(folder) if line.record is not None and not line.place.control]
    lines = [line for line in lines if chosen(line.place, only, otherwise=True)]
    kept = [line for line in lines if (folder / "replay" / line.id / "rows.parquet").is_file()]
    if not kept:
        raise ArtifactError(f"{folder} kept nothing to replay", mend="Run the suite with keep_states: true.")
    settings: dict[Place, Line] = {}
    for line in kept:  # of the cells of one setting, the one that kept the most
        place = replace(line.place, defense="")
        best = settings.get(place)
        if best is None or _how_much(folder, line.id) > _how_much(folder, best.id):
            settings[place] = line
    return [_replayed(folder, line, spec, methods) for line in settings.values()]


def _replayed(folder: Path, line: Line, spec: str, methods: Methods) -> Replay:
    """One setting."""
    stored = [StoredReferee.load(path) for path in _referees(folder, line.id)]
    assert line.record is not None
    lab = ReplayLab(line.record.cell.seed, stored, folder / "replay" / line.id)
    try:
        found = rows_to_replay(line.record.cell, folder, line.id)
        prepared = methods.defense(spec).prepare(found.task, found.rows, trusted=found.trusted, lab=lab)
    except AntivenomError as error:
        return Replay(line.place, None, 0.0, error.what)
    decided = decided_rows(found.rows, found.poisoned, found.before, found.trusted, prepared)
    place = replace(line.place, defense=spec)
    return Replay(place, count_teaching(decided), min(lab.overlaps, default=1.0))


@dataclass(frozen=True)
class ReplayLab:
    """A laboratory whose fits are those that were kept, in the order in which they were made."""

    seed: int
    kept: list[StoredReferee]
    work: Path
    """The folder of finished work that was kept."""
    overlaps: list[float] = field(default_factory=list)
    """Of each fit that was asked for: how alike its rows and the kept one's are."""

    has_model = True

    def base(self, guard: Guard) -> Fitted:
        """Refuse: there is no model.

        Raises:
            ArtifactError: always.
        """
        raise ArtifactError("the defense asks the base model, which a replay does not have")

    def fit(self, rows: pa.Table, guard: Guard, *, name: str, training: TrainingChanges = TrainingChanges()) -> Fitted:
        """The kept fit of this number.

        Raises:
            ArtifactError: fewer were kept.
        """
        if len(self.overlaps) >= len(self.kept):
            raise ArtifactError("the defense asks more referees than were kept")
        one = self.kept[len(self.overlaps)]
        self.overlaps.append(_overlap(one, rows))
        return one.behind(guard)

    def examples(self, rows: pa.Table, guard: Guard) -> list[Example]:
        """Refuse.

        Raises:
            ArtifactError: always.
        """
        raise ArtifactError("the defense repairs a model, which a replay does not have")

    def word_pieces(self, words: Sequence[str]) -> Ints:
        """As the tokenizer cut them; one for each word where the cell that is replayed never asked it about these."""
        try:
            found: Ints = kept_work(self.work, key_of_pieces(words))[:, 0]
        except RowsError:
            return uncut(words)
        return found

    def stored(self, key: Sequence[Any], make: Callable[[], npt.NDArray[Any]]) -> npt.NDArray[Any]:
        """The work that was kept.

        Raises:
            RowsError: it was not.
        """
        return kept_work(self.work, key)


def _overlap(stored: StoredReferee, rows: pa.Table) -> float:
    """How alike the rows are that two referees are trained on: those of both over those of either."""
    wanted = np.isin(stored.rows, rows.column("row").to_numpy())
    either = int((wanted | stored.trained_on).sum())
    return float((wanted & stored.trained_on).sum() / either) if either else 1.0


def _referees(folder: Path, key: str) -> list[Path]:
    """The stored referees of a cell, in the order they were asked."""
    return sorted((folder / "replay" / key).glob("referee-*.parquet"))


def _how_much(folder: Path, key: str) -> int:
    return len(list((folder / "replay" / key).iterdir()))
