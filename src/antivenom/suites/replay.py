"""What another decision rule would have done with the same rows and referees: no model is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from antivenom.core.errors import AntivenomError, ArtifactError
from antivenom.core.options import Options
from antivenom.defenses import Prepared
from antivenom.suites.cell import Place, chosen
from antivenom.suites.decided import count_teaching, decided_rows
from antivenom.suites.lines import Line, lines_of
from antivenom.suites.methods import Methods
from antivenom.suites.record import Results, Teaching
from antivenom.suites.run_cell import rows_of_replay
from antivenom.suites.stored import Replayed, StoredReferee

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


def replay_defense(
    folder: Path, spec: str, *, only: Sequence[str] = (), plugins: Sequence[str] = ()
) -> list[Replay]:
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
    for line in kept:  # of the cells of one setting, one with the most referees
        place = replace(line.place, defense="")
        best = settings.get(place)
        if best is None or len(_referees(folder, line.id)) > len(_referees(folder, best.id)):
            settings[place] = line
    return [_replayed(folder, line, spec, methods) for line in settings.values()]


def _replayed(folder: Path, line: Line, spec: str, methods: Methods) -> Replay:
    """One setting."""
    stored = [StoredReferee.load(path) for path in _referees(folder, line.id)]
    overlaps: list[float] = []
    assert line.record is not None
    try:
        found = rows_of_replay(line.record.cell, folder / "replay" / line.id / "rows.parquet")

        def referee_of(prepared: Prepared) -> Replayed:
            if len(overlaps) >= len(stored):
                raise ArtifactError("the defense asks more referees than were kept")
            one = stored[len(overlaps)]
            overlaps.append(_overlap(one, prepared))
            return one.behind(prepared.guard)

        first = methods.defense(spec).prepare(found.task, found.rows, trusted=found.trusted, seed=line.record.cell.seed)
        prepared = first.decided(referee_of)
    except AntivenomError as error:
        return Replay(line.place, None, 0.0, error.what)
    decided = decided_rows(found.rows, found.poisoned, found.before, prepared)
    place = replace(line.place, defense=spec)
    return Replay(place, count_teaching(decided), min(overlaps, default=1.0))


def _overlap(stored: StoredReferee, prepared: Prepared) -> float:
    """How alike the rows are that two referees are trained on: those of both over those of either."""
    wanted = np.isin(stored.rows, prepared.rows.column("row").to_numpy())
    either = int((wanted | stored.trained_on).sum())
    return float((wanted & stored.trained_on).sum() / either) if either else 1.0


def _referees(folder: Path, key: str) -> list[Path]:
    """The stored referees of a cell, in the order they were asked."""
    return sorted((folder / "replay" / key).glob("referee-*.parquet"))


def stored_cells(folder: Path) -> dict[str, pa.Table]:
    """The decisions and the truth about the rows of every cell that kept them."""
    import pyarrow.parquet as pq

    found = {}
    for key in Results(folder).records():
        path = folder / "replay" / key / "rows.parquet"
        if path.is_file():
            found[key] = pq.read_table(path)
    return found
