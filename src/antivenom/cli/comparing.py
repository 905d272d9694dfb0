"""The grid that `compare` measures, and the files that it leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from antivenom.cli.decisions import warn_of_losses
from antivenom.cli.tables import show_seeds
from antivenom.core.files import atomic_write
from antivenom.guards.guard import AnyTask

if TYPE_CHECKING:
    from antivenom.attacks import Attack
    from antivenom.defenses import Defense
    from antivenom.evaluation.comparison import Outcome, Scenario
    from antivenom.evaluation.summary import Run
    from antivenom.training.lab import LocalLab


@dataclass(frozen=True)
class Grid:
    """What `compare` measures: every attack with every seed, each with every defense."""

    task: AnyTask
    rows: pa.Table
    test: pa.Table
    attacks: list[Attack]
    defenses: list[Defense]
    seeds: range
    trusted_share: float
    never_poisoned: bool

    def measure(self, lab: LocalLab, *, show: bool) -> tuple[list[Run], list[dict[str, Any]]]:
        """Fit and measure everything; each attack's table is shown as soon as it is there."""
        from antivenom.evaluation.comparison import make_scenario
        from antivenom.evaluation.summary import Run

        runs, records = list[Run](), list[dict[str, Any]]()
        for number, attack in enumerate(self.attacks):
            found = dict[int, "list[Outcome]"]()
            for seed in self.seeds:
                store = _folder_of(lab.store, self.attacks, number, seed, len(self.seeds))
                share = self.trusted_share
                scenario = make_scenario(self.task, self.rows, self.test, attack, trusted_share=share, seed=seed)
                here = replace(lab, store=store, seed=seed, spent={}, stages=[])
                found[seed], record = _fit_and_record(scenario, self.defenses, here, self.never_poisoned)
                records.append(record)
                runs += [Run(str(attack), one.folder.name, seed, one.evaluation) for one in found[seed]]
            if show:
                show_seeds(f"{attack}, {self.rows.num_rows} training rows, {lab.model}", found)
        return runs, records


def _folder_of(out: Path, attacks: Sequence[Attack], number: int, seed: int, seeds: int) -> Path:
    """Where the fits of one attack and one seed go: in a folder of their own where there are several."""
    names = [attack.name for attack in attacks]
    if len(names) > 1:
        out /= f"{names[number]}-{number}" if names.count(names[number]) > 1 else names[number]
    return out if seeds == 1 else out / f"seed-{seed}"


def _fit_and_record(
    scenario: Scenario, defenses: list[Defense], lab: LocalLab, never_poisoned: bool
) -> tuple[list[Outcome], dict[str, Any]]:
    """Compare on one seed, and write the record."""
    from antivenom.core.files import write_json
    from antivenom.evaluation import comparison

    outcomes = comparison.compare(scenario, defenses, lab, never_poisoned=never_poisoned)
    settings = {"model": lab.model, "training": lab.options.to_dict(), "seed": lab.seed}
    record = comparison.record(scenario, outcomes, **settings)
    write_json(lab.store / "record.json", record)
    for outcome in record["outcomes"]:
        warn_of_losses(outcome["reserve"])
    return outcomes, record


def write_summary(out: Path, runs: Sequence[Run], records: Sequence[dict[str, Any]], plot: str | None) -> None:
    """Tables, the plot if one is asked for, and, where there were several runs, one record of all of them."""
    from antivenom.core.files import write_json
    from antivenom.evaluation.plots import write_plot
    from antivenom.evaluation.summary import FORMATS, summarize_runs

    lines = summarize_runs(runs)
    for name, write in FORMATS.items():
        with atomic_write(out / name) as file:
            file.write(write(lines))
    if len(records) > 1:
        write_json(out / "record.json", {"summary": [line.to_dict() for line in lines], "runs": list(records)})
    if plot:
        write_plot(Path(plot), lines)
