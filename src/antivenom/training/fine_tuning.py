"""From untrusted rows to a guarded artifact: prepare, fit, repair, and say what became of each row."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from antivenom.artifacts.artifact import Artifact, load_artifact, require_free
from antivenom.artifacts.decisions import write_decisions
from antivenom.artifacts.manifest import MANIFEST
from antivenom.core.claims import LABORATORY, NOTE, Claim, claim_of, output_folder
from antivenom.core.console import warn
from antivenom.core.errors import AntivenomError
from antivenom.core.processes import is_first, on_first
from antivenom.data.digests import digest_of_table
from antivenom.defenses import Defense, Prepared
from antivenom.defenses.standard import Standard
from antivenom.guards.guard import AnyTask
from antivenom.training.fit import train_artifact
from antivenom.training.lab import SEED, LocalLab, remove_store, run_seed
from antivenom.training.remaining import Remaining
from antivenom.training.training_options import TrainingOptions

SHOWN_CLASSES = 20
"""So many classes are named while a run is on; `decisions.csv` has every row."""


def fit(
    task: AnyTask,
    train: pa.Table,
    *,
    model: str,
    out: Path | str,
    defense: Defense | None = None,
    trusted: pa.Table | None = None,
    options: TrainingOptions = TrainingOptions(),
    seed: int | None = None,
    data: dict[str, Any] | None = None,
    quiet: bool = False,
    force: bool = False,
) -> Artifact:
    """Fine-tune on rows nobody vouches for: rows in, guarded artifact out, and in it what became of each row.

    What a defense fits on the way is kept beside `out` until that is finished. A run that was stopped goes on when it
    is called again with the same arguments.

    Args:
        task: What is asked.
        train: The untrusted rows (`row`, `text`, `answer`).
        model: `smollm2`, a folder, or a hub name.
        out: The folder of the artifact; new, empty, or an unfinished run of the same settings.
        defense: What to do about poison; the recipe `standard` when not given.
        trusted: Rows that are vouched for, if there are any.
        options: How to fine-tune.
        seed: Keys every random choice; drawn at random, and recorded, when not given.
        data: What to record in the manifest about the source of the rows.
        quiet: Show no progress bar, and do not say what is left of each class.
        force: Train although a class keeps too few rows to be learned (`validation.LEAST_CLASS_ROWS`).

    Raises:
        ArtifactError: `out` holds something else.
        RowsError: a class keeps too few rows to be learned.
    """
    out, defense = Path(out), defense or Standard()
    defense.require_task(task)
    store = Path(f"{out}.referee")
    # A run that was killed behind its fit has finished the artifact, and still has its store.
    fitted = on_first(lambda: (out / MANIFEST).exists() and claim_of(store) == Claim(LABORATORY))
    if not fitted and on_first(lambda: claim_of(out)) is None:
        on_first(lambda: require_free(out))
    with contextlib.ExitStack() as stack:
        on_first(lambda: _enter(stack, out, store))
        lab = LocalLab(model, options, store, on_first(lambda: run_seed(store, seed)), quiet)
        lab.expect({**defense.fits(task), "model": 1.0})
        prepared = defense.prepare(task, train, trusted=trusted, lab=lab)
        _look_at_what_is_left(Remaining.of(train, prepared), quiet=quiet, force=force)

        def repair(module: Any) -> Any:
            return defense.repair(module, task, trusted=trusted, prepared=prepared, lab=lab)

        if fitted and _is_of(out, prepared):
            artifact = load_artifact(out)
        else:
            artifact = _train(lab, prepared, out, data, repair if "repair" in defense.stages else None)
        on_first(lambda: write_decisions(artifact.folder, train, trusted, prepared))
        on_first(lambda: remove_store(store))
        return artifact


def _train(
    lab: LocalLab, prepared: Prepared, out: Path, data: dict[str, Any] | None, repair: Callable[[Any], Any] | None
) -> Artifact:
    with lab.stage("model"):
        return train_artifact(
            prepared,
            model=lab.model,
            out=out,
            options=lab.options,
            seed=lab.seed,
            data=data,
            quiet=lab.quiet,
            repair=repair,
            bases=lab.bases,
        )


def _look_at_what_is_left(remaining: Remaining, *, quiet: bool, force: bool) -> None:
    """Say it, and stop where it is too little."""
    if not force:
        remaining.require_enough()
    if not quiet and is_first() and remaining.left:
        warn("left to train on:", *remaining.lines()[:SHOWN_CLASSES], *remaining.warnings()[:SHOWN_CLASSES])


def _enter(stack: contextlib.ExitStack, out: Path, store: Path) -> None:
    stack.enter_context(output_folder(out, "fit"))
    stack.enter_context(_forgetting(store, out))


@contextlib.contextmanager
def _forgetting(store: Path, out: Path) -> Iterator[None]:
    """Leave nothing of a run that was refused before it began: the mended command may have another seed."""
    try:
        yield
    except AntivenomError:
        began = (out / MANIFEST).exists() or claim_of(out) is not None or claim_of(store) != Claim(LABORATORY)
        if not began and {path.name for path in store.iterdir()} <= {NOTE, SEED}:
            remove_store(store)
        raise


def _is_of(out: Path, prepared: Prepared) -> bool:
    """Whether a finished artifact was trained on just these rows."""
    return bool(load_artifact(out).manifest.data.get("prepared_sha256") == digest_of_table(prepared.rows))
