"""Commands that make an artifact."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from antivenom.artifacts.decisions import DECISIONS
from antivenom.cli.decisions import show_decisions, warn_of_cut_answers, warn_of_cut_prompts, warn_of_losses
from antivenom.cli.intake import Request, take_rows
from antivenom.cli.options import DefenseOptions, Json, Model, Out, Quiet, RowOptions, SecretSeed, TaskOptions, Training
from antivenom.core.console import say, say_json
from antivenom.training.training_options import TrainingOptions


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
    from antivenom.training.fine_tuning import fine_tune

    taken = take_rows(Request(rows, row_options, task_options, defense, seed))
    artifact = fine_tune(
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
    )
    warn_of_losses(artifact.manifest.reserve)
    warn_of_cut_answers(artifact.manifest.training)
    warn_of_cut_prompts(artifact.manifest.training)
    if json:
        facts = {"training": artifact.manifest.training, "reserve": artifact.manifest.reserve}
        say_json({"artifact": str(artifact.folder), **facts})
        return 0
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
    json: Json = False,
) -> int:
    """Bind the guard to an adapter that another trainer made from immunized rows.

    Parameters
    ----------
    folder
        The trained adapter (or full model) with its tokenizer, as PEFT and transformers save them.
    """
    from dataclasses import replace

    from antivenom.artifacts.artifact import seal
    from antivenom.artifacts.manifest import MANIFEST, Manifest
    from antivenom.core.errors import ArtifactError
    from antivenom.guards.encoding import make_encoder
    from antivenom.models.base_model import locate_model
    from antivenom.models.loading import load_codec
    from antivenom.models.trained import require_trained

    if (Path(folder) / MANIFEST).exists():
        raise ArtifactError(
            f"{folder} is an artifact already", mend="`antivenom show` says which; nothing was changed."
        )
    described = Manifest.read(Path(manifest))
    located = locate_model(model)
    require_trained(Path(folder), located)
    make_encoder(described.guard, load_codec(Path(folder), described.guard.task.frame.modality, model=located.folder))
    artifact = seal(Path(folder), replace(described, base_model=located.identity))
    if json:
        say_json({"artifact": str(artifact.folder)})
    else:
        say(f"{artifact.folder} is an artifact now. Next: antivenom show {artifact.folder}")
    return 0
