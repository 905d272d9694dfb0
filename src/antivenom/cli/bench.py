"""Commands for suites: run a grid, look at it, report it, export it, and replay its decisions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter

from antivenom.cli.options import Force, Json, Out, Quiet
from antivenom.core.console import say, say_json, say_table
from antivenom.core.errors import OptionsError

if TYPE_CHECKING:
    from antivenom.suites.executors import Executor

bench = App(name="bench", help="Suites: run a grid of attacks and defenses, and report it. See docs/suites.md.")

Data = Annotated[str, Parameter(help="The folder that paths of rows in the suite are relative to.")]
Plugins = Annotated[bool, Parameter(help="Run the Python files that the suite names as plug-ins.", negative="")]
Only = Annotated[
    tuple[str, ...],
    Parameter(help="Cells to run: AXIS=PATTERN,AXIS=PATTERN or a pattern of the whole name; repeat for more."),
]


@bench.command
def run(
    suite: str,
    /,
    *,
    out: Out,
    data: Data = ".",
    only: Only = (),
    plugins: Plugins = False,
    workers: Annotated[int | None, Parameter(help="Processes over processor cores; 0 runs in this very one.")] = None,
    gpus: Annotated[str, Parameter(help="GPUs to use, one cell on each: 0,1")] = "",
    ray: Annotated[str, Parameter(help="A Ray cluster: `auto`, `local`, or its address.")] = "",
    slurm: Annotated[str, Parameter(help="Slurm, through submitit: partition=gpu,gres=gpu:1,time=120")] = "",
    quiet: Quiet = False,
    json: Json = False,
) -> int:
    """Run the cells of a suite that have no record yet. Stopped at any moment, it goes on when called again.

    Exits with 1 when a cell failed, or none could be run; cells whose method or model is not there are missing, and no
    failure.

    Parameters
    ----------
    suite
        The suite's YAML file.
    """
    from antivenom.suites.run import run_suite

    executor = _executor(workers, gpus, ray, slurm, Path(out))
    found = run_suite(
        suite, out=Path(out), data=Path(data), executor=executor, only=only, plugins_allowed=plugins, quiet=quiet
    )
    if json:
        say_json(found.to_dict())
    else:
        say(f"{found.finished} cells finished, {found.ran} of them now; {len(found.failed)} failed.")
        for name, why in [*found.failed.items(), *_by_reason(found.missing)]:
            say(f"  {name}: {why.splitlines()[0]}")
        say(f"Next: antivenom bench report {out}")
    return 1 if found.failed or not found.finished else 0


@bench.command
def plan(suite: str, /, *, data: Data = ".", only: Only = (), plugins: Plugins = False, json: Json = False) -> None:
    """Say which cells a suite has, and which there cannot be yet; runs and writes nothing.

    Parameters
    ----------
    suite
        The suite's YAML file.
    """
    from antivenom.suites.run import plan_suite

    planned = plan_suite(suite, data=Path(data), only=only, plugins_allowed=plugins)
    if json:
        say_json([each.to_dict() for each in planned])
        return
    say_table(
        suite, ["cell", "id, or why there is none"], [[str(each.place), each.id or each.missing] for each in planned]
    )
    keys = {each.id for each in planned if each.id}
    say(f"{len(planned)} cells, {len(keys)} of them different; {sum(not each.id for each in planned)} are missing.")


@bench.command
def status(results: str, /, *, json: Json = False) -> None:
    """Say what is done, failed, missing and left to do.

    Parameters
    ----------
    results
        The folder of results.
    """
    from antivenom.suites.status import status_of

    found = status_of(Path(results))
    if json:
        say_json(found.to_dict())
        return
    say_table("", ["state", "cells", "what"], found.lines())


@bench.command
def cell(
    results: str,
    key: str,
    /,
    *,
    data: Data = ".",
    plugin: Annotated[tuple[str, ...], Parameter(help="Files of methods of your own.")] = (),
) -> None:
    """Run one planned cell, as `run` does for each of them; does nothing where its record is there.

    Parameters
    ----------
    results
        The folder of results.
    key
        The cell's digest.
    """
    from antivenom.suites.executors import Job

    Job(key, Path(results), Path(data), plugin).run()


@bench.command
def report(
    results: str,
    other: str | None = None,
    /,
    *,
    out: Annotated[str | None, Parameter(help="Where the report goes; RESULTS when not given.")] = None,
) -> None:
    """Write report.html, report.md, cells.csv and tables.tex; with two folders, compare them cell by cell.

    Parameters
    ----------
    results
        The folder of results.
    other
        A second one.
    """
    from antivenom.suites.report import write_comparison, write_report

    folder = Path(out or results)
    if other is not None:
        say(*write_comparison(Path(results), Path(other), Path(out) if out else None).splitlines())
        return
    for path in write_report(Path(results), folder):
        say(str(path))


@bench.command
def export(results: str, /, *, out: Out, force: Force = False) -> None:
    """Write one line a cell with every number, as CSV or Parquet.

    Parameters
    ----------
    results
        The folder of results.
    """
    from antivenom.suites.export import export_cells

    say(f"{export_cells(Path(results), Path(out), force=force)} cells: {out}")


@bench.command
def replay(
    results: str,
    /,
    *,
    defense: Annotated[str, Parameter(help="The defense whose decisions are wanted.")],
    only: Only = (),
    plugin: Annotated[tuple[str, ...], Parameter(help="Files of methods of your own.")] = (),
    json: Json = False,
) -> None:
    """Ask what a defense would have done with the rows of finished cells, without a model.

    Parameters
    ----------
    results
        The folder of results.
    """
    from antivenom.suites.replay import HEAD, replay_defense

    found = replay_defense(Path(results), defense, only=only, plugins=plugin)
    if json:
        say_json([line.to_dict() for line in found])
        return
    say_table(f"replay of {defense}", HEAD, [line.cells() for line in found])


def _executor(workers: int | None, gpus: str, ray: str, slurm: str, out: Path) -> Executor:
    """What the options ask for.

    Raises:
        OptionsError: they ask for two things.
    """
    import os

    from antivenom.suites.executors import Here, Pool

    if sum(map(bool, (workers is not None, gpus, ray, slurm))) > 1:
        raise OptionsError("--workers, --gpus, --ray and --slurm exclude each other", mend="Give one of them.")
    if ray:
        from antivenom.suites.on_ray import OnRay

        return OnRay.at(ray)
    if slurm:
        from antivenom.suites.on_slurm import OnSlurm

        return OnSlurm.parse(slurm, out)
    if gpus:
        return Pool.over_gpus(gpus.split(","))
    if workers is not None and workers < 0:
        raise OptionsError(f"--workers {workers}", mend="It is 0 (this process) or more.")
    return Here() if workers == 0 else Pool.over_cores(workers or len(os.sched_getaffinity(0)))


def _by_reason(missing: dict[str, str]) -> list[tuple[str, str]]:
    """How many cells are missing for each reason."""
    reasons = sorted(set(missing.values()))
    return [(f"{list(missing.values()).count(reason)} missing", reason) for reason in reasons]
