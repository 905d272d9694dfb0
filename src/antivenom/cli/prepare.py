"""Commands on rows; only `immunize --referee` loads a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from antivenom.artifacts.export import RowFormat
from antivenom.artifacts.trainer_stubs import LOSS_ON_ANSWERS, TrainerName, row_format
from antivenom.cli.ci import CiReports
from antivenom.cli.decisions import show_planted, warn_of_losses
from antivenom.cli.intake import Request, immunize_all, immunize_large, inspect_on_ray
from antivenom.cli.options import (
    DefenseOptions,
    Force,
    Json,
    Kind,
    Out,
    RowOptions,
    SecretSeed,
    Seed,
    TaskOptions,
    Training,
)
from antivenom.cli.tables import show_report
from antivenom.core.claims import named_outputs
from antivenom.core.console import say, say_json, say_table
from antivenom.core.errors import AntivenomError, OptionsError
from antivenom.core.files import require_outputs
from antivenom.tasks.task import Style
from antivenom.training.immunizing import Immunized
from antivenom.training.training_options import TrainingOptions

REFEREE_HELP = (
    "A base model by whose hidden states `standard` judges the other rows: with it more are kept than the safest "
    "30 %. smollm2, a folder, or a hub name."
)
SEED_HELP = "Decides between equals and chooses the examples; drawn at random, and printed, when not given."
READ_ON_RAY_HELP = "A Ray cluster to read, clean and count the files of a folder: `auto`, `local`, or its address."
RAY_HELP = "With --large, a Ray cluster to read the files of a folder: `auto`, `local`, or its address."
LARGE_HELP = "In bounded memory, to Parquet, duplicates kept: p2p with a random or trusted reserve, not `standard`."


def validate(
    rows: str,
    /,
    *,
    row_options: RowOptions = RowOptions(),
    task_options: TaskOptions = TaskOptions(),
    defense: DefenseOptions = DefenseOptions(),
    json: Json = False,
) -> int:
    """Look at rows before training: what is broken, doubtful, or in the way of the defense.

    Parameters
    ----------
    rows
        A .jsonl, .csv, .tsv or .parquet file, a saved datasets folder, or a hub data-set name.
    """
    from antivenom.data.validation import check_rows, label_problems, predict_small_classes
    from antivenom.guards.length import warn_of_long_texts

    task_options = task_options.filled(row_options.file)
    loaded = row_options.load(rows, task_options.labels)
    labels = None if task_options.labels is None else loaded.labels
    table = check_rows(loaded.table, labels, loaded.report)
    if labels is not None:
        predict_small_classes(table, labels, loaded.report)
    problems = [] if labels is None else label_problems(labels)
    for problem in problems:
        loaded.report.fail(problem)
    try:
        if not problems:
            task = task_options.task(loaded.labels, images=row_options.has_images)
            warn_of_long_texts(table, task.frame, loaded.report)
            defense.choose(row_options.file).check(task, table, loaded.report)
    except AntivenomError as error:
        loaded.report.fail(" ".join(str(error).split("\n")))
    if json:
        say_json(loaded.report.to_dict())
    else:
        say(*str(loaded.report).split("\n"))
    loaded.report.stop_on_errors(skip_refused=row_options.skip_refused)
    return 0


def inspect(
    rows: str,
    /,
    *,
    row_options: RowOptions = RowOptions(),
    kind: Annotated[Kind, Parameter(help="The rows end in labels, or in free text.")] = "classification",
    fail_on_findings: Annotated[
        bool, Parameter(help="Exit with 1 when something looks planted; errors exit with 2.", negative="")
    ] = False,
    ci: CiReports = CiReports(),
    ray: Annotated[str, Parameter(help=READ_ON_RAY_HELP)] = "",
    seed: Annotated[int | None, Parameter(help=SEED_HELP)] = None,
    force: Force = False,
    json: Json = False,
) -> int:
    """Look for what seems planted in rows: words, phrases and templates that go with one label too well to be honest.

    It is evidence for people, not a filter: nothing is removed, and a clean report is no proof. --json lists every row
    that shows a finding, with its text and the reason.

    Parameters
    ----------
    rows
        A .jsonl, .csv, .tsv or .parquet file, a saved datasets folder, or a hub data-set name.
    """
    from antivenom.evaluation.ci_reports import cases_of_evidence, write_reports
    from antivenom.evaluation.taxonomy import ATLAS_DATA, OWASP
    from antivenom.screening.inspection import inspect as inspect_rows

    require_outputs(ci.named, force=force)
    asked = TaskOptions(kind=kind).filled(row_options.file)
    if ray and asked.kind != "classification":
        raise OptionsError("--ray works with labels, not yet with free answers", mend="Leave --ray out.")
    if ray:
        found = inspect_on_ray(row_options, rows, ray, seed=seed)
    else:
        loaded = row_options.load(rows, asked.labels)
        labels = loaded.labels if asked.kind == "classification" else None
        found = inspect_rows(row_options.accept(loaded, labels, loaded.report), labels, seed=seed)
    if json:
        say_json({**found.to_dict(), "taxonomy": [OWASP[1], ATLAS_DATA[1]]})
    else:
        say(*str(found).split("\n"))
    write_reports(cases_of_evidence(found.evidence), rows, sarif_path=ci.sarif, junit_path=ci.junit)
    return 1 if fail_on_findings and found.findings else 0


def immunize(
    rows: str,
    /,
    *,
    out: Out,
    form: Annotated[RowFormat | None, Parameter(name="--format")] = None,
    trainer: Annotated[TrainerName | None, Parameter(name="--for")] = None,
    row_options: RowOptions = RowOptions(),
    task_options: TaskOptions = TaskOptions(),
    defense: DefenseOptions = DefenseOptions(),
    large: Annotated[bool, Parameter(negative=(), help=LARGE_HELP)] = False,
    ray: Annotated[str, Parameter(help=RAY_HELP)] = "",
    referee: Annotated[str | None, Parameter(help=REFEREE_HELP)] = None,
    training: Training = TrainingOptions(),
    seed: SecretSeed = None,
    json: Json = False,
) -> int:
    """Rewrite rows only, for the trainer you already use (TRL, Axolotl, LLaMA-Factory).

    Writes OUT/train.jsonl (OUT/train.parquet for images and with --large), OUT/antivenom.json and, without --large,
    OUT/decisions.csv: what became of each row. Train on the first; then `antivenom finish MODEL --manifest OUT` binds
    the second to what you trained.

    Parameters
    ----------
    rows
        The untrusted rows: a file, a saved datasets folder, or a hub data-set name.
    form
        prompt-completion (usual): two strings. chat: the same as chat messages. messages: one list of chat messages.
    trainer
        Take the format of this trainer and write the start of its settings to OUT/TRAINER.yaml.
    """
    from antivenom.artifacts.artifact import require_free

    folder, form = Path(out), _format_of(form, trainer, row_options)
    require_free(folder)
    if ray and not large:
        raise OptionsError("--ray works with --large alone", mend="Add --large, or leave --ray out.")
    request = Request(rows, row_options, _in_style(task_options, row_options, form), defense, seed)
    if large:
        done, facts = immunize_large(request, folder, form, trainer, referee, ray=ray)
    else:
        done, facts = immunize_all(request, folder, form, trainer, referee, training)
    if referee is not None:
        warn_of_losses(done.reserve)
    if json:
        settings = None if done.settings is None else str(done.settings)
        found = {"defense": facts["defense"], "rows": done.rows, "reserve": done.reserve, "out": str(done.path)}
        say_json({**found, "trainer_settings": settings})
    else:
        _show_immunized(done, facts["defense"], trainer)
    return 0


def _format_of(form: RowFormat | None, trainer: TrainerName | None, row_options: RowOptions) -> RowFormat:
    """The format of the rows that are written.

    Raises:
        OptionsError: the trainer does not take the format, or there are images and settings for a trainer are asked.
    """
    if trainer is not None and row_options.has_images:
        raise OptionsError(f"--for {trainer} writes no settings for rows with images", mend="Use --format chat.")
    return row_format(trainer, form)


def _in_style(task_options: TaskOptions, row_options: RowOptions, form: RowFormat) -> TaskOptions:
    """What is asked, in the style that a format of rows has.

    Raises:
        OptionsError: another style was asked for, or there are images and the format has no place for them.
    """
    from dataclasses import replace

    style: Style = "plain" if form == "prompt-completion" else "chat"
    task_options = task_options.filled(row_options.file)
    if task_options.style not in ("plain", style):
        raise OptionsError(f"--style {task_options.style} does not go with --format {form}")
    if row_options.has_images and style == "plain":
        raise OptionsError("a plain prompt has no place for an image", mend="Use --format chat.")
    return replace(task_options, style=style)


def _show_immunized(done: Immunized, defense: str, trainer: TrainerName | None) -> None:
    folder = done.path.parent
    reserve = int(done.reserve.get("rows", 0))
    counts = [["ordinary", str(done.rows - reserve)], ["with the benign trigger", str(reserve)]]
    left_out = {name: done.reserve[name] for name in ("left_out", "quarantined") if name in done.reserve}
    if left_out:
        counts.append(["left out of the file", str(sum(left_out.values()))])
    say(f"Defense: {defense}")
    say_table(str(done.path), ["rows", "count"], counts)
    show_planted(done.reserve)
    loss = "loss on the answers alone"
    if trainer is not None:
        loss = f"{loss} is `{LOSS_ON_ANSWERS[trainer]}` in {folder / f'{trainer}.yaml'}"
    say(f"Next: train on {done.path} ({loss}), then")
    say(f"  antivenom finish TRAINED_FOLDER --manifest {folder} --model BASE_MODEL")


def poison(
    rows: str,
    /,
    *,
    attack: Annotated[str, Parameter(help="The attack: name, or name:option=value;option=value.")],
    out: Out,
    truth: Annotated[str | None, Parameter(help="Where to write which rows were poisoned; OUT.truth.json.")] = None,
    probes: Annotated[bool, Parameter(negative=(), help="Write attacked test rows instead of training rows.")] = False,
    row_options: RowOptions = RowOptions(),
    task_options: TaskOptions = TaskOptions(),
    seed: Seed = 0,
) -> int:
    """Write an attacked copy of rows, for research; the truth about it goes to a file of its own.

    Parameters
    ----------
    rows
        Clean rows: a file, a saved datasets folder, or a hub data-set name.
    """
    from antivenom.artifacts.export import write_rows
    from antivenom.attacks import parse_attack
    from antivenom.core.files import write_json

    chosen = parse_attack(attack)
    target, truth_path = Path(out), Path(truth or f"{out}.truth.json")
    for path in (target, truth_path):
        if path.exists():
            raise OptionsError(f"{path} exists", mend="Choose another --out or --truth; nothing is overwritten.")
    with named_outputs({"--out": out, "--truth": str(truth_path)}, "poison", force=False):
        task_options = task_options.filled(row_options.file)
        loaded = row_options.load(rows, task_options.labels)
        task = task_options.task(loaded.labels, images=row_options.has_images, report=loaded.report)
        table = row_options.accept(loaded, task.classes, loaded.report)
        show_report(loaded.report)
        if probes:
            attacked = chosen.probes(task, table, seed=seed)
            write_rows(target, attacked)
            say(f"{attacked.num_rows} attacked test rows (true labels kept) are in {target}")
            return 0
        poisoned = chosen.poison(task, table, seed=seed)
        write_rows(target, poisoned.rows)
        positions, helpers = ([index + 1 for index in part] for part in (poisoned.indices, poisoned.companions))
        facts = {"attack": chosen.to_dict(), "seed": seed, "poisoned_rows": positions, "companion_rows": helpers}
        write_json(truth_path, facts)
        wanted = chosen.count(table.num_rows)
        few = f" ({wanted} were asked for; the others cannot carry the trigger)" if len(positions) < wanted else ""
        say(f"{len(positions)} of {table.num_rows} rows are poisoned{few} in {target}; which ones: {truth_path}")
        return 0
