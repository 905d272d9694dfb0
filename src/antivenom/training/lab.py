"""The laboratory of a run: one base model, one recipe, one secret seed, and a store of finished work by content."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from antivenom.artifacts.manifest import MANIFEST
from antivenom.core.arrays import Ints
from antivenom.core.claims import LABORATORY, NOTE, claim, claim_of
from antivenom.core.errors import ArtifactError, OptionsError
from antivenom.core.files import atomic_write, remove_tree, write_json
from antivenom.core.intake import foreign, open_regular, read_json
from antivenom.core.processes import is_first, on_first
from antivenom.core.progress import Stages
from antivenom.data.digests import digest_of_table
from antivenom.defenses import Defense, Prepared
from antivenom.guards.guard import AnyTask, Guard, require_text
from antivenom.guards.secret import draw_seed
from antivenom.inference.guarded import GuardedModel, load_guarded
from antivenom.inference.spread import spread
from antivenom.inference.writing import GuardedWriter
from antivenom.models.base_model import LocatedModel
from antivenom.models.base_store import BaseStore
from antivenom.models.lab import Example, Fitted, TrainingChanges
from antivenom.screening.subword_splits import uncut
from antivenom.training.fit import fingerprint_of, train_artifact
from antivenom.training.training_options import TrainingOptions

SEED = "seed.json"
KEY_LENGTH = 16
"""Hexadecimal digits of a fit's content that name its folder."""


class RowsLab:
    """A laboratory without a model: for defenses that read rows alone."""

    has_model = False

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def base(self, guard: Guard) -> Fitted:
        """Refuse: there is no model."""
        raise OptionsError("this defense asks a model, and none was named", mend="Name one with --referee MODEL.")

    def fit(self, rows: pa.Table, guard: Guard, *, name: str, training: TrainingChanges = TrainingChanges()) -> Fitted:
        """Refuse: there is no model."""
        return self.base(guard)

    def examples(self, rows: pa.Table, guard: Guard) -> list[Example]:
        """Refuse: there is no model whose tokens these could be."""
        raise OptionsError("this defense repairs a model, and none was trained", mend="Run `antivenom fit`.")

    def word_pieces(self, words: Sequence[str]) -> Ints:
        """One for each word."""
        return uncut(words)

    def stored(self, key: Sequence[Any], make: Callable[[], npt.NDArray[Any]]) -> npt.NDArray[Any]:
        """Do the work; nothing is kept."""
        return make()


@dataclass(frozen=True)
class Repairing:
    """What is done to a model after training, and what decides its outcome beside the model."""

    change: Callable[[Any], Any]
    """The repair."""
    key: Sequence[Any]
    """Plain JSON values: the defense with its options, and the digest of its trusted rows."""


@dataclass(frozen=True)
class LocalLab:
    """A laboratory on this machine.

    Fits are kept in `store` under a digest of everything that decides their weights, so that a run that was stopped
    goes on, and two defenses that train on the same rows share one fit. The base model is located once.
    """

    model: str
    """`smollm2`, a folder, or a hub name."""
    options: TrainingOptions
    """The recipe."""
    store: Path
    """Where finished work is kept."""
    seed: int = 0
    """Keys every random choice."""
    quiet: bool = False
    """Show no progress."""
    spent: dict[str, float] = field(default_factory=dict, compare=False)
    """Seconds that each fit took, by its folder's name; of those that were found finished, what they once took."""
    stages: list[Stages] = field(default_factory=list, compare=False, repr=False)
    """What the run is at; at most one entry."""
    bases: BaseStore = field(default_factory=BaseStore, compare=False, repr=False)
    """The base model, hashed and loaded once."""

    has_model = True

    def __post_init__(self) -> None:
        if self.options.report_to:  # before any work is done
            from antivenom.training.trainer import require_trackers

            require_trackers(self.options.report_to)

    @cached_property
    def located(self) -> LocatedModel:
        """The base model on this machine, hashed once."""
        return on_first(lambda: self.bases.locate(self.model))

    @cached_property
    def _pieces(self) -> Callable[[Sequence[str]], Ints]:
        from antivenom.models.tokenizer import word_pieces_of

        return word_pieces_of(self.located.folder)

    def examples(self, rows: pa.Table, guard: Guard) -> list[Example]:
        """Prepared rows as the model reads them."""
        from antivenom.guards.encoding import make_encoder
        from antivenom.models.loading import load_codec

        require_text(guard.task)
        return make_encoder(guard, load_codec(self.located.folder, "text", model=self.located.folder)).training(rows)

    def word_pieces(self, words: Sequence[str]) -> Ints:
        """How many tokens the model's tokenizer cuts each word into where it stands behind a space."""
        return self._pieces(words)

    def base(self, guard: Guard) -> Fitted:
        """The untouched base model behind a guard."""
        from antivenom.inference.fitted import base_behind

        return spread(base_behind(guard, self.located, self.bases, self.quiet, self.options.precision))

    def fit(self, rows: pa.Table, guard: Guard, *, name: str, training: TrainingChanges = TrainingChanges()) -> Fitted:
        """Fine-tune on prepared rows, unless the store holds this very fit; see `models.lab.Lab`."""
        from antivenom.inference.fitted import FittedModel

        model = self.load(self.artifact(Prepared(rows, guard, training=training), name=name))
        return spread(FittedModel(model.encoder, model.model, self.quiet))

    def artifact(
        self,
        prepared: Prepared,
        *,
        name: str,
        folder: Path | None = None,
        repairing: Repairing | None = None,
    ) -> Path:
        """The folder of the artifact of prepared rows, fitted now or before.

        Args:
            prepared: What to train on.
            name: What people are told is being fitted.
            folder: Where the artifact goes; by default a folder of the store that is named by its content.
            repairing: What is done to the model after training.

        Raises:
            ArtifactError: the folder holds another artifact.
        """
        key = fingerprint_of(prepared, self.located, self.options.on(prepared), self.seed)
        if repairing is not None:
            key = _digest([key, *repairing.key])
        folder = folder or self.store / f"fit-{key[:KEY_LENGTH]}"
        note = folder.with_name(f"{folder.name}.fit.json")
        finished, before = on_first(lambda: _noted(folder, note))
        if before.get("key") == key:
            # A fit that was stopped before it noted its seconds has none.
            self.spent[folder.name] = float(before.get("seconds", 0))
            return folder
        if not finished:
            on_first(lambda: write_json(note, {"key": key, "name": name}))
        start = time.perf_counter()
        with self.stage(name):
            train_artifact(
                prepared,
                model=self.model,
                out=folder,
                options=self.options,
                seed=self.seed,
                quiet=self.quiet,
                repair=None if repairing is None else repairing.change,
                bases=self.bases,
            )
        self.spent[folder.name] = time.perf_counter() - start
        on_first(lambda: write_json(note, {"key": key, "name": name, "seconds": self.spent[folder.name]}))
        return folder

    def defended(
        self, defense: Defense, task: AnyTask, rows: pa.Table, *, trusted: pa.Table | None, name: str
    ) -> tuple[Prepared, Path, float]:
        """Prepare rows with a defense, fit on them, and repair.

        Args:
            defense: What to do about poison.
            task: What is asked.
            rows: The untrusted rows.
            trusted: Rows that are vouched for, if there are any.
            name: The folder of the artifact in the store.

        Returns:
            What was trained on, the artifact's folder, and the seconds that all fits took, a defense's own included.
        """
        defense.require_task(task)
        before = dict(self.spent)
        self.expect({**defense.fits(task), name: 1.0})
        prepared = defense.prepare(task, rows, trusted=trusted, lab=self)

        def repair(module: Any) -> Any:
            return defense.repair(module, task, trusted=trusted, prepared=prepared, lab=self)

        repairing = None
        if "repair" in defense.stages:
            repairing = Repairing(repair, [defense.to_dict(), None if trusted is None else digest_of_table(trusted)])
        folder = self.artifact(prepared, name=name, folder=self.store / name, repairing=repairing)
        return prepared, folder, sum(took for fit, took in self.spent.items() if fit not in before)

    def load(self, folder: Path) -> GuardedModel | GuardedWriter:
        """Load a fit to ask it about training or test rows, about which other fits are asked too."""
        return load_guarded(folder, top_layers=self.options.top_layers, store=self.bases)

    def stored(self, key: Sequence[Any], make: Callable[[], npt.NDArray[Any]]) -> npt.NDArray[Any]:
        """Finished work by content, as files of numpy without pickle; see `models.lab.Lab`."""
        digest = _digest([self.located.identity.to_dict(), self.seed, *key])
        path = self.store / f"work-{digest[:KEY_LENGTH]}.npy"
        if not on_first(path.exists):
            found = make()
            on_first(lambda: _keep(path, found))
        with open_regular(path, root=self.store) as file, foreign(f"{path} is damaged", mend="Delete it."):
            loaded: npt.NDArray[Any] = np.load(file, allow_pickle=False)
        return loaded

    def expect(self, sizes: dict[str, float]) -> None:
        """Say which fits a run will have, and how large they are beside each other: progress counts them."""
        self.stages[:] = [Stages("fit", sizes, self.quiet or not is_first())]

    def stage(self, name: str) -> contextlib.AbstractContextManager[None]:
        """Announce a fit and time it: `fit 2 of 2: model (about 4 min left)`."""
        if not self.stages:
            self.expect({})
        return self.stages[0].stage(name)


def _noted(folder: Path, note: Path) -> tuple[bool, dict[str, Any]]:
    """Whether a fit is finished, and what is noted of it; one that was killed while it tidied still has its claim."""
    finished = (folder / MANIFEST).exists() and claim_of(folder) is None
    return finished, read_json(note, error=ArtifactError) if finished and note.exists() else {}


def _noted_seed(note: Path) -> int:
    noted = read_json(note, error=ArtifactError)
    seed = noted.get("seed") if isinstance(noted, dict) else None
    if not isinstance(seed, int):
        raise ArtifactError(f"{note} holds no seed", mend="It was changed: delete the folder, and run again.")
    return seed


def _digest(parts: Sequence[Any]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _keep(path: Path, found: npt.NDArray[Any]) -> None:
    with atomic_write(path, "wb") as file:
        np.save(file, found, allow_pickle=False)


def run_seed(store: Path, seed: int | None) -> int:
    """The seed of a run: the one that was asked for, that of an unfinished run, or a new one, noted privately.

    Raises:
        ArtifactError: the folder is not ours.
        OptionsError: an unfinished run has another one than was asked for.
    """
    claim(store, LABORATORY)  # first: nothing is read from a folder that is not ours, and none is removed
    note = store / SEED
    if note.exists():
        drawn = _noted_seed(note)
        if seed not in (None, drawn):
            raise OptionsError(f"{store} holds an unfinished run with another seed", mend="Repeat it without --seed.")
        return drawn
    chosen = draw_seed() if seed is None else seed
    write_json(note, {"seed": chosen}, private=True)
    return chosen


def remove_store(store: Path) -> None:
    """Remove the store of a run that needs it no more; killed on the way, it is still ours, and has its seed."""
    remove_tree(store, last=(SEED, NOTE))
