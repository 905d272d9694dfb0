"""From a defense and rows to an artifact, the referee's fit included; finished fits are used again."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from antivenom.artifacts.artifact import Artifact, require_free
from antivenom.artifacts.decisions import write_decisions
from antivenom.artifacts.manifest import MANIFEST
from antivenom.core.claims import claim_of
from antivenom.core.files import remove_file, remove_if_empty, remove_tree, write_json
from antivenom.data.query import Asked
from antivenom.defenses import Defense, Prepared
from antivenom.defenses.standard import Standard
from antivenom.guards.guard import AnyTask, Guard
from antivenom.guards.labels import ChoiceScores
from antivenom.inference.guarded import GuardedModel, load_guarded
from antivenom.inference.writing import GuardedWriter
from antivenom.models.base_model import locate_model
from antivenom.training.fit import fingerprint_of, fit
from antivenom.training.training_options import TrainingOptions


@dataclass(frozen=True)
class Fitter:
    """One model and one recipe, and the folder where the fits are kept."""

    model: str
    options: TrainingOptions
    out: Path
    seed: int = 0
    quiet: bool = False

    def defend(
        self, defense: Defense, task: AnyTask, train: pa.Table, *, trusted: pa.Table | None, name: str
    ) -> tuple[Prepared, Path, float]:
        """Prepare rows with a defense and fit on them.

        Returns:
            What was trained on, the artifact's folder, and the seconds that fitting took, a referee's included.
        """
        prepared, before = self.prepare(defense, task, train, trusted=trusted, name=name)
        folder, seconds = self.fit(prepared, name)
        return prepared, folder, before + seconds

    def prepare(
        self, defense: Defense, task: AnyTask, train: pa.Table, *, trusted: pa.Table | None, name: str
    ) -> tuple[Prepared, float]:
        """Prepare rows with a defense, which gets a referee as often as it asks for one (`out/name.referee`).

        Returns:
            What to train on, and the seconds that fitting the referees took.
        """
        from antivenom.models.local import word_pieces_of

        numbers, spent = count(1), 0.0

        def referee_of(rows: Prepared) -> GuardedModel | _Silent:
            nonlocal spent
            folder, seconds = self.fit(rows, referee_name(name, next(numbers)))
            spent += seconds
            referee = self.load(folder)
            assert isinstance(referee, GuardedModel), "a defense asks for a referee on labels alone"
            return _Silent(referee) if self.quiet else referee

        pieces = word_pieces_of(locate_model(self.model).folder)
        first = defense.prepare(task, train, trusted=trusted, seed=self.seed, word_pieces=pieces)
        return first.decided(referee_of), spent

    def load(self, folder: Path) -> GuardedModel | GuardedWriter:
        """Load a fit to ask it about training or test rows, about which other fits are asked too."""
        return load_guarded(folder, top_layers=self.options.top_layers)

    def forget_referee(self, name: str) -> None:
        """Remove the referees that `prepare` fitted, and nothing else."""
        for number in count(1):
            folder = self.out / referee_name(name, number)
            if not folder.exists():
                break
            remove_tree(folder)
            remove_file(self.out / f"{folder.name}.fit.json")
        remove_if_empty(self.out)

    def fit(self, prepared: Prepared, name: str) -> tuple[Path, float]:
        """Fit, unless `out/name` already holds this very fit.

        Returns:
            The artifact's folder, and the seconds that the fit took; 0 of a fit that was stopped before it noted them.
        """
        folder, note = self.out / name, self.out / f"{name}.fit.json"
        options = self.options.on(prepared)
        key = fingerprint_of(prepared, locate_model(self.model), options, self.seed)
        finished = (folder / MANIFEST).exists()
        if finished and note.exists():
            before = json.loads(note.read_text(encoding="utf-8"))
            if before["key"] == key:
                return folder, float(before.get("seconds", 0))
        if not finished:
            write_json(note, {"key": key})
        start = time.perf_counter()
        fit(prepared, model=self.model, out=folder, options=self.options, seed=self.seed, quiet=self.quiet)
        seconds = time.perf_counter() - start
        write_json(note, {"seconds": seconds, "key": key})
        return folder, seconds


def referee_name(name: str, number: int) -> str:
    """The folder of the first, second, ... referee beside the fit `name`."""
    return f"{name}.referee" if number == 1 else f"{name}.referee{number}"


@dataclass(frozen=True)
class _Silent:
    """A referee that shows no progress."""

    model: GuardedModel

    @property
    def guard(self) -> Guard:
        return self.model.guard

    def score(self, asked: Sequence[Asked], *, progress: str | None = None) -> ChoiceScores:
        return self.model.score(asked)

    def states(self, texts: Sequence[str], *, progress: str | None = None) -> npt.NDArray[np.float32]:
        return self.model.states(texts)


def fine_tune(
    task: AnyTask,
    train: pa.Table,
    *,
    model: str,
    out: Path | str,
    defense: Defense = Standard(),
    trusted: pa.Table | None = None,
    options: TrainingOptions = TrainingOptions(),
    seed: int = 0,
    data: dict[str, Any] | None = None,
    quiet: bool = False,
) -> Artifact:
    """Fine-tune on rows nobody vouches for: rows in, guarded artifact out, and in it what became of each row.

    A referee, if the defense asks for one, is fitted in `out`.referee, and removed when `out` is finished. A run that
    was stopped goes on when it is called again with the same arguments.

    Args:
        task: What is asked.
        train: The untrusted rows (`row`, `text`, `answer`).
        model: `smollm2`, a folder, or a hub name.
        out: The folder of the artifact; new, empty, or an unfinished run of the same settings.
        defense: What to do about poison.
        trusted: Rows that are vouched for, if there are any.
        options: How to fine-tune.
        seed: Keys every random choice.
        data: What to record in the manifest about the source of the rows.
        quiet: Show no progress bar.

    Raises:
        ArtifactError: `out` holds something else.
        RowsError: a class has no row that can be trained on.
    """
    out = Path(out)
    if claim_of(out) is None:
        require_free(out)
    fitter = Fitter(model, options, Path(f"{out}.referee"), seed, quiet)
    prepared, _ = fitter.prepare(defense, task, train, trusted=trusted, name="fit")
    artifact = fit(prepared, model=model, out=out, options=options, seed=seed, data=data, quiet=quiet)
    write_decisions(artifact.folder, train, trusted, prepared)
    fitter.forget_referee("fit")
    return artifact
