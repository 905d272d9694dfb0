"""Commands that measure: your own pipeline, one attack against several defenses, and the demo."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import pyarrow as pa
from cyclopts import Parameter

from antivenom.cli.ci import CiReports
from antivenom.cli.decisions import show_decisions, warn_of_losses
from antivenom.cli.intake import Request, take_rows
from antivenom.cli.options import (
    Count,
    DefenseOptions,
    Force,
    Json,
    Model,
    Out,
    Quiet,
    RowOptions,
    SecretSeed,
    Seed,
    Share,
    TaskOptions,
    Training,
    public_spec,
)
from antivenom.cli.secret import with_secret
from antivenom.cli.tables import show_canaries, show_comparison, show_seeds
from antivenom.core.claims import laboratory
from antivenom.core.console import say, say_json
from antivenom.core.files import atomic_write, require_outputs
from antivenom.defenses import parse_defense
from antivenom.evaluation.canary import CanaryCheck
from antivenom.guards.guard import AnyTask
from antivenom.training.training_options import TrainingOptions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from antivenom.attacks import Attack
    from antivenom.defenses import Defense
    from antivenom.evaluation.comparison import Outcome
    from antivenom.evaluation.grid import Comparison

EXIT_CODES = {"passed": 0, "backdoor": 1, "accuracy_lost": 1, "inconclusive": 3}
"""What `check` ends with; any error ends it with 2."""

Attacks = Annotated[
    tuple[str, ...],
    Parameter(
        help="An attack: name, or name:option=value;option=value; repeat for several. With rate=0 nothing is poisoned."
    ),
]
NeverPoisoned = Annotated[
    bool,
    Parameter(help="Fit every defense on the clean rows too: what does the trigger do without poison?", negative=""),
]


def check(
    rows: str,
    /,
    *,
    out: Out,
    test: Annotated[
        str | None, Parameter(help="Test rows; a fifth of the rows is held out when there are none.")
    ] = None,
    sample: Annotated[Count | None, Parameter(help="Check on this many rows, drawn at random, to save time.")] = None,
    report: Annotated[str | None, Parameter(help="Write a Markdown snippet for a model card here.")] = None,
    ci: CiReports = CiReports(),
    canaries: Annotated[CanaryCheck, Parameter(name="*", group="Check")] = CanaryCheck(),
    model: Model = "smollm2",
    row_options: RowOptions = RowOptions(),
    task_options: TaskOptions = TaskOptions(),
    defense: DefenseOptions = DefenseOptions(),
    training: Training = TrainingOptions(),
    seed: SecretSeed = None,
    force: Force = False,
    quiet: Quiet = False,
    json: Json = False,
) -> int:
    """Would your pipeline let a backdoor through? Plant known ones in copies of your rows, fit, and measure.

    Exits with 0 when every canary stayed within the limits, 1 when one got through or accuracy was lost, 3 when neither
    is shown, 2 on any error.

    Parameters
    ----------
    rows
        Your rows: a file, a saved datasets folder, or a hub data-set name.
    """
    from antivenom.evaluation.canary import check as check_rows
    from antivenom.evaluation.ci_reports import cases_of_check, write_reports

    require_outputs({"--report": report, **ci.named}, force=force)
    taken = take_rows(Request(rows, row_options, task_options, defense, seed))
    held_out = None if test is None else _clean_rows(row_options, test, taken.task)
    found = check_rows(
        taken.task,
        taken.table,
        out=out,
        test=held_out,
        trusted=taken.trusted,
        defense=taken.defense,
        canaries=canaries,
        model=model,
        options=training,
        sample=sample,
        seed=seed,
        quiet=quiet,
    )
    for result in found.results:
        warn_of_losses(result.reserve)
    say_json(found.to_dict()) if json else show_canaries(found)
    if report:
        with atomic_write(Path(report)) as file:
            file.write(found.markdown())
    write_reports(cases_of_check(found), rows, sarif_path=ci.sarif, junit_path=ci.junit)
    return EXIT_CODES[found.verdict]


def compare(
    train: str,
    test: str,
    /,
    *,
    out: Out,
    attack: Attacks = ("addsent:rate=0.05",),
    defense: Annotated[tuple[str, ...], Parameter(help="A defense; repeat for several.")] = ("none", "standard"),
    model: Model = "smollm2",
    train_rows: Annotated[Count | None, Parameter(help="Use the first rows only.")] = None,
    test_rows: Annotated[Count | None, Parameter(help="Use the first rows only.")] = None,
    trusted_share: Annotated[Share, Parameter(help="Share of each class that the attacker cannot touch.")] = 0.0,
    row_options: RowOptions = RowOptions(),
    task_options: TaskOptions = TaskOptions(),
    training: Training = TrainingOptions(),
    seed: Seed = 0,
    seeds: Annotated[Count, Parameter(help="Repeat with this many seeds, from --seed upwards.")] = 1,
    never_poisoned: NeverPoisoned = False,
    plot: Annotated[str | None, Parameter(help="Draw the summary here: .png, .svg or .pdf (extra `plots`).")] = None,
    force: Force = False,
    quiet: Quiet = False,
    json: Json = False,
) -> int:
    """Research: poison clean rows, train with each defense, and measure them side by side.

    Finished trainings in OUT are used again, so a stopped comparison goes on. OUT/record.json holds every number, means
    and spreads over seeds among them; OUT/summary.csv, .md and .tex are tables. Several attacks or seeds have folders
    of their own in OUT.

    Parameters
    ----------
    train
        Clean training rows.
    test
        Clean test rows.
    """
    from antivenom.evaluation.grid import compare as compare_defenses

    _require_plot(plot, force=force)
    task, rows = _task_and_rows(row_options, task_options, train)
    rows, (attacks, defenses) = rows.slice(0, train_rows), _methods(attack, defense, row_options)
    comparison = compare_defenses(
        task,
        rows,
        _test_rows(row_options, test, task, test_rows, seed),
        out=out,
        attacks=attacks,
        defenses=defenses,
        model=model,
        options=training,
        seeds=range(seed, seed + seeds),
        trusted_share=trusted_share,
        never_poisoned=never_poisoned,
        quiet=quiet,
        measured=partial(_show, f"{rows.num_rows} training rows, {model}", json),
        command=_command(),
    )
    _draw(plot, comparison)
    _show_records(comparison.records) if json else say(f"Every number: {out}/")
    return 0


def _show(said: str, json: bool, attack: Attack, found: Mapping[int, Sequence[Outcome]]) -> None:
    """Print what was measured under one attack, and warn of defenses that lost too much."""
    for outcomes in found.values():
        for outcome in outcomes:
            warn_of_losses(outcome.facts)
    if not json:
        show_seeds(f"{attack}, {said}", found)


def _methods(attacks: Sequence[str], defenses: Sequence[str], rows: RowOptions) -> tuple[list[Attack], list[Defense]]:
    """The attacks and defenses that specs name."""
    from antivenom.attacks import parse_attack

    found = [with_secret(parse_defense(public_spec(spec)), None, rows.file) for spec in defenses]
    return [parse_attack(spec) for spec in attacks], found


def _command() -> list[str]:
    """The words of the command line; no secret stands in one (`cli.options.public_spec`)."""
    return ["antivenom", *sys.argv[1:]]


def _require_plot(plot: str | None, *, force: bool) -> None:
    """Refuse before any work a picture that could not be drawn or written in the end."""
    from antivenom.evaluation.plots import require_plots

    require_outputs({"--plot": plot}, force=force)
    if plot:
        require_plots(Path(plot))


def _draw(plot: str | None, comparison: Comparison) -> None:
    from antivenom.evaluation.plots import write_plot

    if plot:
        write_plot(Path(plot), comparison.summary())


def _task_and_rows(options: RowOptions, task_options: TaskOptions, source: str) -> tuple[AnyTask, pa.Table]:
    """The task, and the clean rows of a source."""
    task_options = task_options.filled(options.file)
    loaded = options.load(source, task_options.labels)
    task = task_options.task(loaded.labels, images=options.has_images, report=loaded.report)
    return task, options.accept(loaded, task.classes, loaded.report)


def _test_rows(options: RowOptions, source: str, task: AnyTask, count: int | None, seed: int) -> pa.Table:
    """The test rows that are asked for: the first `count`, or as many as --task says."""
    table = _clean_rows(options, source, task)
    return options.sample(table, task.classes, seed=seed) if count is None else table.slice(0, count)


def _show_records(records: Sequence[dict[str, Any]]) -> None:
    say_json(records[0] if len(records) == 1 else list(records))


def _clean_rows(options: RowOptions, source: str, task: AnyTask) -> pa.Table:
    """The rows of a source for a task that is known."""
    loaded = options.load(source, labels=task.classes)
    return options.accept(loaded, task.classes, loaded.report)


def demo(
    *,
    out: Annotated[str, Parameter(help="Where artifacts and the record go; a stopped demo goes on.")] = "demo",
    train_rows: Annotated[Count, Parameter(help="Training rows.")] = 1000,
    test_rows: Annotated[Count, Parameter(help="Test rows.")] = 400,
    rows_only: Annotated[
        bool, Parameter(negative=(), help="Write OUT/reviews.csv (5 % poisoned) and OUT/test.csv, and stop.")
    ] = False,
    seed: Seed = 0,
    quiet: Quiet = False,
    json: Json = False,
) -> int:
    """See it happen: a real model backdoored by poisoned film reviews, beside the same rows defended.

    Needs no account, no GPU and no data of yours; about 8 minutes on 2 quiet CPU cores.
    """
    from antivenom.demo import TEST, TRAIN, demo_rows, recipe_options, run_demo

    with laboratory(Path(out), "demo"):
        if rows_only:
            demo_rows(Path(out), train_rows=train_rows, test_rows=test_rows, seed=seed)
            say(f"Film reviews, 5 % of them poisoned: {out}/{TRAIN}; clean test rows: {out}/{TEST}")
            return 0
        result = run_demo(
            Path(out), train_rows=train_rows, test_rows=test_rows, seed=seed, quiet=quiet, command=_command()
        )
    if json:
        say_json(result.record)
        return 0
    show_comparison(result.title, result.outcomes)
    show_decisions(result.outcomes[-1].facts)
    result.show_examples()
    say("", f"Both artifacts and every number are in {out}/ (record.json). Next:")
    say(f'  antivenom predict {out}/standard "a text of your own"')
    say(f"  antivenom show {out}/standard")
    say(f"  antivenom fit {out}/{TRAIN} {recipe_options()} --out safe    # or with your rows")
    return 0
