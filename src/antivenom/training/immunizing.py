"""From untrusted rows to rows for another trainer: prepare, write, and say what became of each row."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from antivenom.artifacts.artifact import require_free
from antivenom.artifacts.decisions import write_decisions
from antivenom.artifacts.export import RowFormat, write_training_rows
from antivenom.artifacts.manifest import Manifest
from antivenom.artifacts.trainer_stubs import TrainerName, row_format, write_stub
from antivenom.core.claims import new_output
from antivenom.core.console import warn
from antivenom.core.errors import OptionsError
from antivenom.data.digests import digest_of_table
from antivenom.defenses import Defense, Prepared
from antivenom.defenses.standard import Standard
from antivenom.guards.guard import AnyTask, Guard
from antivenom.guards.secret import draw_seed
from antivenom.training.fine_tuning import SHOWN_CLASSES
from antivenom.training.lab import LocalLab, RowsLab, remove_store, run_seed
from antivenom.training.remaining import Remaining
from antivenom.training.training_options import TrainingOptions


@dataclass(frozen=True)
class Immunized:
    """Rows that were written for a trainer, with the guard that belongs to what will be trained on them."""

    path: Path
    """The rows; `antivenom.json` and `decisions.csv` stand beside them."""
    guard: Guard
    """Wraps inputs and reads outputs of what will be trained."""
    reserve: dict[str, Any]
    """What the defense did: counts, digests, what looks planted."""
    rows: int
    """How many rows were written."""
    sha256: str
    """Digest of the prepared rows."""
    seed: int
    """Keyed every random choice; it stands in the manifest alone."""
    settings: Path | None = None
    """The start of the trainer's settings, where one was named."""


def immunize(
    task: AnyTask,
    train: pa.Table,
    *,
    out: Path | str,
    defense: Defense | None = None,
    trusted: pa.Table | None = None,
    form: RowFormat | None = None,
    trainer: TrainerName | None = None,
    referee: str | None = None,
    options: TrainingOptions = TrainingOptions(),
    seed: int | None = None,
    data: dict[str, Any] | None = None,
) -> Immunized:
    """Rewrite rows for a trainer of your own (TRL, Axolotl, LLaMA-Factory); `finish` binds what it makes of them.

    Args:
        task: What is asked; its frame has the style `chat` where the rows become chat messages.
        train: The untrusted rows (`row`, `text`, `answer`).
        out: The folder of the rows; new or empty.
        defense: What to do about poison; the recipe `standard` when not given.
        trusted: Rows that are vouched for, if there are any.
        form: How rows are written; `prompt-completion`, or what the trainer takes, when not given.
        trainer: Whose settings to write the start of.
        referee: A base model by whose hidden states `standard` judges the other rows, so that it keeps more.
        options: How to fine-tune it, for a defense that asks for that.
        seed: Keys every random choice; drawn at random, and recorded, when not given.
        data: What to record in the manifest about the source of the rows.

    Returns:
        Where the rows are, and what was done to them.

    Raises:
        ArtifactError: `out` holds something else.
        OptionsError: the trainer does not take the form, the task has another style, or the defense asks for a referee
            or acts while or after training.
    """
    out, form, defense = Path(out), row_format(trainer, form), defense or Standard()
    _require_style(task, form)
    defense.require_task(task)
    _require_rows_alone(defense)
    require_free(out)
    with new_output(out, "immunize"):
        prepared, seed = _prepare(task, train, out, defense, trusted, referee, options, seed)
        if small := Remaining.of(train, prepared).warnings():
            warn("WARNING: too few rows are left to be learned:", *(f"  {line}" for line in small[:SHOWN_CLASSES]))
        path = write_training_rows(out, prepared, form)
        write_decisions(out, train, trusted, prepared)
        digest = digest_of_table(prepared.rows)
        done = Immunized(path, prepared.guard, dict(prepared.facts), prepared.rows.num_rows, digest, seed)
        return bind_rows(done, data or {}, trainer)


def bind_rows(done: Immunized, data: dict[str, Any], trainer: TrainerName | None) -> Immunized:
    """Write the manifest beside rows that are written, and the settings of a trainer if one is named.

    Args:
        done: The rows.
        data: What to record in the manifest about their source.
        trainer: Whose settings to write the start of.
    """
    manifest = Manifest.describe(
        done.guard,
        reserve=done.reserve,
        base_model=None,
        training={},
        data={"prepared_sha256": done.sha256, **data},
        seed=done.seed,
    )
    manifest.write(done.path.parent)
    settings = (
        None if trainer is None else write_stub(trainer, done.path, thinks=done.guard.task.frame.thinking == "open")
    )
    return Immunized(done.path, done.guard, done.reserve, done.rows, done.sha256, done.seed, settings)


def _prepare(
    task: AnyTask,
    train: pa.Table,
    out: Path,
    defense: Defense,
    trusted: pa.Table | None,
    referee: str | None,
    options: TrainingOptions,
    seed: int | None,
) -> tuple[Prepared, int]:
    """Prepare rows, with a referee if there is a model for one; also the seed of the run."""
    if referee is None:
        rows_lab = RowsLab(draw_seed() if seed is None else seed)
        return defense.prepare(task, train, trusted=trusted, lab=rows_lab), rows_lab.seed
    store = Path(f"{out}.referee")
    lab = LocalLab(referee, options, store, run_seed(store, seed))
    prepared = defense.prepare(task, train, trusted=trusted, lab=lab)
    remove_store(store)
    return prepared, lab.seed


def _require_rows_alone(defense: Defense) -> None:
    """Refuse a defense that does something while or after training, which another trainer would not do.

    Raises:
        OptionsError: names it.
    """
    if {"training", "repair"} & set(defense.stages):
        raise OptionsError(
            f"{defense.name} acts while or after training, so rewriting rows is not enough",
            mend="Train with `antivenom fit`.",
        )


def _require_style(task: AnyTask, form: RowFormat) -> None:
    """Refuse rows in another style than the guard would ask in.

    Raises:
        OptionsError: says which style the form needs.
    """
    style = "plain" if form == "prompt-completion" else "chat"
    if task.frame.style != style:
        raise OptionsError(
            f"rows as {form} ask in the style {style!r}, and the task has {task.frame.style!r}",
            mend=f"Make the task with frame=Frame(style={style!r}), or choose another form.",
        )
