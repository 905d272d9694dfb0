"""What `antivenom compare` does: every attack with every seed against every defense, with the files that it leaves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from antivenom.attacks import Attack
from antivenom.attacks.addsent import AddSent
from antivenom.core.claims import laboratory
from antivenom.core.console import warn
from antivenom.core.files import atomic_write, write_json
from antivenom.defenses import Defense
from antivenom.defenses.none import NoDefense
from antivenom.defenses.standard import Standard
from antivenom.evaluation.comparison import Outcome, Scenario, fit_and_measure, make_scenario, record
from antivenom.evaluation.held_out import are_trained
from antivenom.evaluation.summary import FORMATS, Run, SummaryLine, summarize_runs
from antivenom.guards.guard import AnyTask
from antivenom.training.lab import LocalLab
from antivenom.training.training_options import TrainingOptions

Measured = Callable[[Attack, Mapping[int, Sequence[Outcome]]], None]
"""Is told of each attack's outcomes by seed, as soon as they are there."""


@dataclass(frozen=True)
class Comparison:
    """Defenses under attacks, measured."""

    runs: tuple[Run, ...]
    """One defense under one attack with one seed, each."""
    records: tuple[dict[str, Any], ...]
    """Everything about each attack and seed as JSON values; the files `record.json` hold the same."""

    def summary(self) -> list[SummaryLine]:
        """A line for each attack and defense: means and standard deviations over the seeds."""
        return summarize_runs(self.runs)


def compare(
    task: AnyTask,
    train: pa.Table,
    test: pa.Table,
    *,
    out: Path | str,
    attacks: Sequence[Attack] = (),
    defenses: Sequence[Defense] = (),
    model: str = "smollm2",
    options: TrainingOptions = TrainingOptions(),
    seeds: Sequence[int] = (0,),
    trusted_share: float = 0.0,
    never_poisoned: bool = False,
    quiet: bool = False,
    measured: Measured | None = None,
    command: Sequence[str] = (),
) -> Comparison:
    """Research: poison clean rows, fine-tune with each defense, and measure them side by side.

    Finished trainings in `out` are used again, so a stopped comparison goes on. `out` gets record.json with every
    number, and summary.csv, .md and .tex; several attacks or seeds have folders of their own in it.

    Args:
        task: What is asked.
        train: Clean training rows (`row`, `text`, `answer`).
        test: Clean test rows.
        out: The folder of models and records.
        attacks: What to try; AddSent in 5 % of the rows when there are none.
        defenses: What to compare, each beside the first; none and `standard` when there are none.
        model: `smollm2`, a folder, or a hub name.
        options: How to fine-tune.
        seeds: Each draws the poisoned rows and keys the training.
        trusted_share: Share of each class that the attacker cannot touch.
        never_poisoned: Fit every defense on the clean rows too.
        quiet: Show no progress.
        measured: Is told of each attack's outcomes.
        command: The words of the command line that asks for it, if one does, for the record.

    Raises:
        ArtifactError: `out` holds something that is not ours.
        RowsError: an attack finds no row that it could poison.
    """
    attacks, defenses = attacks or [AddSent(rate=0.05)], defenses or [NoDefense(), Standard()]
    if trained := int(are_trained(test, train).sum()):
        warn(f"WARNING: {trained} of {test.num_rows} test rows ask what training rows ask too; they are counted.")
    lab = LocalLab(model, options, Path(out), seeds[0], quiet)
    runs, records = list[Run](), list[dict[str, Any]]()
    with laboratory(lab.store, "compare"):
        for number, attack in enumerate(attacks):
            found: dict[int, list[Outcome]] = {}
            for seed in seeds:
                scenario = make_scenario(task, train, test, attack, trusted_share=trusted_share, seed=seed)
                store = _folder_of(lab.store, attacks, number, seed, len(seeds))
                here = replace(lab, store=store, seed=seed, spent={}, stages=[])
                found[seed] = fit_and_measure(scenario, defenses, here, never_poisoned=never_poisoned)
                records.append(_write_record(scenario, found[seed], here, command))
                runs += [Run(str(attack), one.folder.name, seed, one.evaluation) for one in found[seed]]
            if measured is not None:
                measured(attack, found)
        return _write_summary(lab.store, Comparison(tuple(runs), tuple(records)))


def _folder_of(out: Path, attacks: Sequence[Attack], number: int, seed: int, seeds: int) -> Path:
    """Where the fits of one attack and one seed go: in a folder of their own where there are several."""
    names = [attack.name for attack in attacks]
    if len(names) > 1:
        out /= f"{names[number]}-{number}" if names.count(names[number]) > 1 else names[number]
    return out if seeds == 1 else out / f"seed-{seed}"


def _write_record(
    scenario: Scenario, outcomes: Sequence[Outcome], lab: LocalLab, command: Sequence[str]
) -> dict[str, Any]:
    settings = {"model": lab.model, "training": lab.options.to_dict(), "seed": lab.seed}
    kept = record(scenario, outcomes, settings, command)
    write_json(lab.store / "record.json", kept)
    return kept


def _write_summary(out: Path, comparison: Comparison) -> Comparison:
    """Tables, and, where there were several runs, one record of all of them."""
    lines = comparison.summary()
    for name, write in FORMATS.items():
        with atomic_write(out / name) as file:
            file.write(write(lines))
    if len(comparison.records) > 1:
        runs = list(comparison.records)
        write_json(out / "record.json", {"summary": [line.to_dict() for line in lines], "runs": runs})
    return comparison
