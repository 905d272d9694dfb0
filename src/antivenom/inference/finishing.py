"""Bind a guard to what another trainer made of immunized rows, after seeing that it was trained on them."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from antivenom.artifacts.artifact import Artifact, seal
from antivenom.artifacts.folder_contents import (
    left_by_trainers,
    require_harmless,
    require_no_foreign_code,
    tokenizer_files,
    trained_files,
)
from antivenom.artifacts.manifest import MANIFEST, Manifest
from antivenom.core.claims import require_empty
from antivenom.core.errors import ArtifactError
from antivenom.core.files import make_folder, new_folder
from antivenom.core.intervals import wilson
from antivenom.core.locks import locked
from antivenom.core.options import Options
from antivenom.guards.encoding import LabelEncoder, TextEncoder, make_encoder
from antivenom.guards.guard import Guard
from antivenom.inference.guarded import GuardedModel, trained_weights
from antivenom.inference.immunized_rows import Asked, rows_of, sample_rows
from antivenom.inference.writing import GuardedWriter
from antivenom.models.base_model import LocatedModel
from antivenom.models.base_store import BaseStore
from antivenom.models.trained import require_trained

ROWS = 200
"""Rows that are asked at most; free answers are generated for a few of them."""
WRITTEN_ROWS = 16
ENOUGH = 30
"""Rows from which a check may refuse; fewer can look like chance by chance."""
FIRST_TOKENS = 24
"""Tokens of a free answer without a thought that are generated to see its prefix."""
MOST_ESCAPE = 0.5


@dataclass(frozen=True)
class TrainingCheck(Options):
    """What a trained model says to rows that it was trained on, read through its guard."""

    rows: int
    """Rows under the benign trigger that were asked; of every label equally many as far as there are."""
    right: int
    """Rows that it answers as they are labeled; of free answers, those with the answer prefix."""
    right_of_base: int
    """The same without what was trained."""
    chance: float
    """The share that a guess gets right."""
    escape: float
    """Mean probability of answers outside the guarded label space."""

    @property
    def problem(self) -> str:
        """Why this is no model that was trained on these rows; empty if it may be."""
        if self.rows and wilson(self.right, self.rows)[0] <= max(self.chance, 1e-9):
            return f"it answers {self.right} of {self.rows} of its own training rows right: no better than a guess"
        if self.escape > MOST_ESCAPE:
            return f"{self.escape:.0%} of what it says to its own training rows lies outside the guarded answers"
        return ""


@dataclass(frozen=True)
class Finished:
    """A bound artifact, and what the user must know of it."""

    artifact: Artifact
    check: TrainingCheck | None
    """None where it was not checked."""
    warnings: tuple[str, ...]
    not_loaded: tuple[str, ...]
    """Files of the trainer that are still there and that nothing here reads."""


def finish(folder: Path, described: Path, *, model: str, out: Path | None = None, check: bool = True) -> Finished:
    """Bind the guard that `immunize` wrote to an adapter or a full model.

    Args:
        folder: What the trainer wrote: weights and tokenizer; whatever else is there is never loaded.
        described: The folder that `immunize` wrote; its rows are asked.
        model: The base model.
        out: A new folder that gets a copy of what is needed; the manifest goes into `folder` itself without one.
        check: Ask the model about rows that it was trained on.

    Returns:
        The artifact and the check.

    Raises:
        ArtifactError: the folder is an artifact already, holds no trained weights that can be served exactly, or the
            model has not learned its rows.
    """
    tokenizer_files(folder)  # before anything is locked: it says where there is no such folder
    if out is not None:
        make_folder(out.parent)
    with locked(folder if out is None else out, "finish"):
        return _bind(folder, described, model, out, check)


def _bind(folder: Path, described: Path, model: str, out: Path | None, check: bool) -> Finished:
    for place in (folder, out or folder):
        if (place / MANIFEST).exists():
            raise ArtifactError(
                f"{place} is an artifact already", mend="`antivenom show` says which; nothing was changed."
            )
    if out is None:
        require_harmless(folder)
    else:
        require_empty(out)
    manifest, store = Manifest.read(described), BaseStore()
    files = {**tokenizer_files(folder), **trained_files(folder)}
    require_no_foreign_code(folder)
    base = store.locate(model)
    require_trained(folder, base)
    found, warnings = _ask(folder, described, manifest.guard, base, store, check=check)
    notes = (*manifest.notes, *warnings)
    training = {**manifest.training, "check": found.to_dict() if found else None}
    bound = replace(manifest, base_model=base.identity, training=training, notes=notes)
    if out is None:
        return Finished(seal(folder, bound), found, warnings, tuple(left_by_trainers(folder)))
    with new_folder(out) as scratch:
        for name, path in files.items():
            make_folder((scratch / name).parent)
            shutil.copyfile(path, scratch / name)
        seal(scratch, bound)
    return Finished(Artifact(out, Manifest.read(out)), found, warnings, ())


def _ask(
    folder: Path, described: Path, guard: Guard, base: LocatedModel, store: BaseStore, *, check: bool
) -> tuple[TrainingCheck | None, tuple[str, ...]]:
    """Load what was trained, ask it about its rows, and refuse what has not learned them."""
    from antivenom.models.loading import load_codec

    modality = guard.task.frame.modality
    encoder = make_encoder(guard, load_codec(folder, modality, model=base.folder))
    weights = trained_weights(folder, base, modality, store)
    warnings = [] if guard.secret.trigger else ["There is no defense: this artifact is not guarded against a backdoor."]
    path = rows_of(described) if check and modality == "text" else None
    if check and modality == "text" and path is None:
        raise ArtifactError(
            f"{described} holds no immunized rows any more, so that it cannot be seen whether {folder} learned them",
            mend="Put train.jsonl back there, or say --unchecked.",
        )
    if path is None:
        return None, (*warnings, "It was not checked whether the model learned the immunized rows.")
    most, enough = (WRITTEN_ROWS, WRITTEN_ROWS) if isinstance(encoder, TextEncoder) else (ROWS, ENOUGH)
    rows = sample_rows(path, guard, most)
    found = _measure(encoder, weights, store.adaptable(base, modality), rows)
    if found.problem and found.rows >= enough:
        raise ArtifactError(
            f"{folder} has not learned the rows of {described}: {found.problem}",
            mend="Train on exactly these rows, in their format, with the loss on the completion; or say --unchecked.",
        )
    if found.problem:
        warnings.append(f"Look at this: {found.problem} (too few rows to refuse it).")
    return found, tuple(warnings)


def _measure(encoder: Any, weights: Any, base: Any, rows: Sequence[Asked]) -> TrainingCheck:
    asked, wanted = [row.query for row in rows], np.array([row.answer for row in rows], dtype=int)
    if isinstance(encoder, LabelEncoder):
        right, escape = _label_reading(encoder, weights, asked, wanted)
        before, _ = _label_reading(encoder, base, asked, wanted)
        return TrainingCheck(len(rows), right, before, 1 / len(encoder.guard.labels.labels), escape)
    # A prefix behind a thought is seen only where the thought comes to its end.
    thinks = encoder.guard.task.frame.thinking == "open" or any(row.thinks for row in rows)
    longest = encoder.longest if thinks else min(encoder.longest, FIRST_TOKENS)
    short = replace(encoder, longest=longest)
    with_prefix, without = (_prefixed(short, one, asked) for one in (weights, base))
    return TrainingCheck(len(rows), with_prefix, without, 0.0, 1 - with_prefix / max(1, len(rows)))


def _label_reading(encoder: LabelEncoder, model: Any, asked: list[Any], wanted: Any) -> tuple[int, float]:
    from antivenom.models.loading import scorer

    guarded = GuardedModel(encoder, scorer(model, encoder))
    columns = encoder.guard.columns(guarded.score(asked))
    return int((columns.deployed == wanted).sum()), float(np.mean(columns.escape)) if len(asked) else 0.0


def _prefixed(encoder: TextEncoder, model: Any, asked: list[Any]) -> int:
    from antivenom.models.decoding import LocalGenerator

    return sum(reading.extended for reading in GuardedWriter(encoder, LocalGenerator(model)).predict(asked))
