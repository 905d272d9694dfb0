"""Run a suite: plan its cells, run those that have no record, and show how it goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from antivenom.core.errors import OptionsError
from antivenom.core.options import Options
from antivenom.suites.cell import Cell, chosen
from antivenom.suites.executors import Executor, Job
from antivenom.suites.methods import Methods
from antivenom.suites.plan import Planned, plan
from antivenom.suites.progress import Progress
from antivenom.suites.record import Results
from antivenom.suites.suite import Suite, load_suite


@dataclass(frozen=True)
class CellOutcome(Options):
    """What became of the cells that were asked for."""

    finished: int
    """That have a record now."""
    ran: int
    """Of these, those that had none before."""
    failed: dict[str, str]
    """Why, by name."""
    missing: dict[str, str]
    """Cells that there cannot be yet, and why."""


def run_suite(
    path: Path | str,
    *,
    out: Path,
    data: Path,
    executor: Executor,
    only: Sequence[str] = (),
    plugins_allowed: bool = False,
    quiet: bool = False,
) -> CellOutcome:
    """Run what has no record yet.

    Args:
        path: The suite's file.
        out: The folder of results; made if need be, gone on with if it has some.
        data: The folder that paths of rows are relative to.
        executor: Where cells run.
        only: Patterns of cells (`cell.chosen`); all when empty.
        plugins_allowed: Whether the files that the suite names as plug-ins may be run.
        quiet: Show nothing.

    Raises:
        OptionsError: the suite says something wrong, or has plug-ins that are not allowed.
    """
    suite, planned, cells = _planned(path, data, plugins_allowed)
    results = Results(out)
    results.write_plan(_relative(suite, out), planned, cells)
    wanted = _wanted(planned, only)
    jobs = _jobs(wanted, cells, results, data, suite.plugins)
    names = {each.id: str(each.place) for each in planned}
    with Progress(results, names, jobs=len(jobs), done=_finished(wanted, results), quiet=quiet) as seen:
        for event in executor.run(jobs) if jobs else ():
            seen.note(event)
    return _outcome(wanted, results, ran=len(jobs))


def plan_suite(
    path: Path | str, *, data: Path, only: Sequence[str] = (), plugins_allowed: bool = False
) -> list[Planned]:
    """The cells that `run_suite` would see to; nothing is run or written.

    Args:
        path: The suite's file.
        data: The folder that paths of rows are relative to.
        only: Patterns of cells; all when empty.
        plugins_allowed: Whether the files that the suite names as plug-ins may be run.

    Raises:
        OptionsError: the suite says something wrong, or has plug-ins that are not allowed.
    """
    _, planned, _ = _planned(path, data, plugins_allowed)
    return _wanted(planned, only)


def _planned(path: Path | str, data: Path, plugins_allowed: bool) -> tuple[Suite, list[Planned], dict[str, Cell]]:
    suite = load_suite(path)
    planned, cells = plan(suite, _methods(suite, plugins_allowed), data)
    if not planned:
        raise OptionsError(f"{path}: the suite has no cells", mend="Look at `without`.")
    return suite, planned, cells


def _wanted(planned: Sequence[Planned], only: Sequence[str]) -> list[Planned]:
    """The cells that fit a pattern."""
    wanted = [each for each in planned if chosen(each.place, only, otherwise=True)]
    if not wanted:
        raise OptionsError(
            f"no cell fits --only {' '.join(only)}", mend=f"The first of them is called {planned[0].place}."
        )
    return wanted


def _methods(suite: Suite, allowed: bool) -> Methods:
    if suite.plugins and not allowed:
        raise OptionsError(
            f"the suite runs code from {', '.join(suite.plugins)}", mend="If you trust it, say so with --plugins."
        )
    return Methods.load(suite.plugins)


def _jobs(
    wanted: Sequence[Planned], cells: dict[str, Cell], results: Results, data: Path, plugins: tuple[str, ...]
) -> list[Job]:
    """One for each cell without a record; two places that are one cell are one job."""
    keys = dict.fromkeys(each.id for each in wanted if each.id and not results.is_done(each.id))
    return [Job(key, results.folder, data, plugins, cells[key].recipe.processes) for key in keys]


def _relative(suite: Suite, out: Path) -> Suite:
    """The suite without the folders of this machine; the file of printed values by its way from the results."""
    import os
    from dataclasses import replace

    plugins, include = (tuple(map(os.path.relpath, paths)) for paths in (suite.plugins, suite.include))
    paper = os.path.relpath(suite.paper, out) if suite.paper else ""
    return replace(suite, plugins=plugins, include=include, paper=paper)


def _finished(wanted: Sequence[Planned], results: Results) -> int:
    return sum(results.is_done(key) for key in {each.id for each in wanted if each.id})


def _outcome(wanted: Sequence[Planned], results: Results, *, ran: int) -> CellOutcome:
    left = [each for each in wanted if each.id and not results.is_done(each.id)]
    failed = {str(each.place): results.failure(each.id) or "not run" for each in left}
    missing = {str(each.place): each.missing for each in wanted if not each.id}
    return CellOutcome(_finished(wanted, results), ran - len({each.id for each in left}), failed, missing)
