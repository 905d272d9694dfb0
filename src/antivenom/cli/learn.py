"""Commands that make an artifact."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from antivenom.artifacts.decisions import DECISIONS
from antivenom.cli.decisions import show_decisions, warn_of_cut_answers, warn_of_cut_prompts, warn_of_losses
from antivenom.cli.intake import Request, take_rows
from antivenom.cli.options import DefenseOptions, Json, Model, Out, Quiet, RowOptions, SecretSeed, TaskOptions, Training
from antivenom.core.console import say, say_json, warn
from antivenom.training.training_options import TrainingOptions

FORCE_HELP = "Train although a class keeps too few rows to be learned."


def fit(
    rows: str,
    /,
    *,
    out: Out,
    model: Model = "smollm2",
    row_options: RowOptions = RowOptions(),
    task_options: TaskOptions = TaskOptions(),
    defense: DefenseOptions = DefenseOptions(),
    training: Training = TrainingOptions(),
    seed: SecretSeed = None,
    force: Annotated[bool, Parameter(negative=(), help=FORCE_HELP)] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> int:
    """Fine-tune a model on rows you cannot vouch for, and keep the guard that makes it safe.

    A stopped run goes on from its last checkpoint when the command is repeated.

    Parameters
    ----------
    rows
        The untrusted rows: a file, a saved datasets folder, or a hub data-set name.
    """
    from antivenom.training import fine_tuning

    taken = take_rows(Request(rows, row_options, task_options, defense, seed))
    artifact = fine_tuning.fit(
        taken.task,
        taken.table,
        model=model,
        out=out,
        defense=taken.defense,
        trusted=taken.trusted,
        options=training,
        seed=seed,
        data=taken.facts,
        quiet=quiet,
        force=force,
    )
    warn_of_losses(artifact.manifest.reserve)
    warn_of_cut_answers(artifact.manifest.training)
    warn_of_cut_prompts(artifact.manifest.training)
    if json:
        facts = {
            "defense": str(taken.defense),
            "training": artifact.manifest.training,
            "reserve": artifact.manifest.reserve,
        }
        say_json({"artifact": str(artifact.folder), **facts})
        return 0
    say(f"Defense: {taken.defense}")
    show_decisions(artifact.manifest.reserve)
    say(f"The artifact is in {artifact.folder}; {DECISIONS} there says what became of each row. Next:")
    say(f'  antivenom predict {artifact.folder} "a text"')
    say(f"  antivenom evaluate {artifact.folder} TEST_ROWS --attack addsent --attack badnets")
    return 0


def finish(
    folder: str,
    /,
    *,
    manifest: Annotated[str, Parameter(help="The folder that `antivenom immunize` wrote.")],
    model: Model,
    out: Annotated[str | None, Parameter(help="Copy what is needed here, and bind the copy.")] = None,
    unchecked: Annotated[
        bool, Parameter(negative=(), help="Do not ask the model about the rows it was trained on.")
    ] = False,
    json: Json = False,
) -> int:
    """Bind the guard to an adapter that another trainer made from immunized rows, after asking it about those rows.

    What else the trainer left (checkpoints, optimizer states, logs) is listed and never loaded.

    Parameters
    ----------
    folder
        The trained adapter (or full model) with its tokenizer, as PEFT and transformers save them.
    """
    from antivenom.inference.finishing import finish as bind

    done = bind(Path(folder), Path(manifest), model=model, out=Path(out) if out else None, check=not unchecked)
    for warning in done.warnings:
        warn(warning)
    bound, check = done.artifact.folder, done.check
    if json:
        say_json({"artifact": str(bound), "check": check.to_dict() if check else None, "not_loaded": done.not_loaded})
        return 0
    if check is not None:
        say(f"Of {check.rows} of its training rows it answers {check.right} right (the base: {check.right_of_base}).")
    if done.not_loaded:
        say(f"Never loaded, may be deleted: {', '.join(done.not_loaded)}")
    say(f"{bound} is an artifact now. Next: antivenom show {bound}")
    return 0
