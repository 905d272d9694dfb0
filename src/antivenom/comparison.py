"""Compare defenses under one attack: poison, fit each, evaluate each, one table and one record."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from antivenom.artifact import MANIFEST, load_artifact
from antivenom.attacks import Attack
from antivenom.defenses import Defense, Prepared
from antivenom.defenses.reserve import random_reserve
from antivenom.evaluation import Evaluation, evaluate, write_outputs
from antivenom.files import digest_of_table, write_json
from antivenom.inference import load_guarded
from antivenom.task import Classification
from antivenom.training import TrainingOptions, fit


@dataclass(frozen=True)
class Scenario:
    """Rows as a victim meets them: some vouched for, the rest poisoned."""

    task: Classification
    train: pa.Table
    """All training rows, poisoned."""
    trusted: pa.Table
    """The rows that the attacker could not touch; they also stand in `train`."""
    test: pa.Table
    """Clean test rows."""
    attack: Attack
    poisoned: tuple[int, ...]
    """Row numbers of the poisoned rows; no defense sees them."""


@dataclass(frozen=True)
class Outcome:
    """One defense under the scenario's attack."""

    defense: Defense
    folder: Path
    evaluation: Evaluation
    train_seconds: float
    leaked: int
    """Poisoned rows that got the benign trigger."""


def make_scenario(
    task: Classification, train: pa.Table, test: pa.Table, attack: Attack, *, trusted_share: float, seed: int
) -> Scenario:
    """Set aside trusted rows, the same share of each class, then poison among the others.

    The attack's rate is a share of all training rows, the trusted ones included.
    """
    vouched = random_reserve(train, task.labels, trusted_share, seed=seed)
    trusted, rest = train.filter(pa.array(vouched)), train.filter(pa.array(~vouched))
    poisoned = replace(attack, rate=min(1.0, attack.rate * train.num_rows / max(1, rest.num_rows)))
    result = poisoned.poison(task, rest, seed=seed)
    rows = rest.column("row").to_pylist()
    order = pa.concat_tables([result.rows, trusted]).sort_by("row")
    return Scenario(task, order, trusted, test, attack, tuple(rows[i] for i in result.indices))


def compare(
    scenario: Scenario,
    defenses: Sequence[Defense],
    *,
    model: str,
    options: TrainingOptions,
    out: Path,
    seed: int,
    quiet: bool = False,
) -> list[Outcome]:
    """Fit and evaluate every defense; finished fits in `out` are used again, so a stopped comparison goes on."""
    outcomes = []
    for number, defense in enumerate(defenses):
        folder = out / (defense.name if number == 0 or defenses[0].name != defense.name else f"{defense.name}-{number}")
        prepared = defense.prepare(scenario.task, scenario.train, trusted=scenario.trusted, seed=seed)
        say(f"[{number + 1}/{len(defenses)}] {defense}: fine-tuning on {prepared.rows.num_rows} rows", quiet)
        seconds = _fit_once(prepared, folder, model, options, seed, quiet)
        guarded = load_guarded(folder)
        facts = {"artifact": folder.name, "defense": str(defense)}
        found, outputs = evaluate(guarded, scenario.test, [scenario.attack], seed=seed, provenance=facts, quiet=quiet)
        write_outputs(out / f"{folder.name}.outputs.parquet", outputs)
        outcomes.append(Outcome(defense, folder, found, seconds, _leaked(prepared, scenario)))
    return outcomes


def record(scenario: Scenario, outcomes: Sequence[Outcome], **settings: Any) -> dict[str, Any]:
    """Everything about a comparison as JSON values: what was asked, on what machine, and what came out."""
    return {
        "command": " ".join(["antivenom", *sys.argv[1:]]),
        "settings": settings,
        "attack": scenario.attack.to_dict(),
        "rows": {
            "train": scenario.train.num_rows,
            "trusted": scenario.trusted.num_rows,
            "poisoned": len(scenario.poisoned),
            "test": scenario.test.num_rows,
            "train_sha256": digest_of_table(scenario.train),
            "test_sha256": digest_of_table(scenario.test),
        },
        "machine": {"platform": platform.platform(), "cpus": os.cpu_count(), "python": platform.python_version()},
        "outcomes": [
            {
                "defense": outcome.defense.to_dict(),
                "evaluation": outcome.evaluation.to_dict(),
                "train_seconds": round(outcome.train_seconds, 1),
                "leaked": outcome.leaked,
                "versions": load_artifact(outcome.folder).manifest.versions,
            }
            for outcome in outcomes
        ],
    }


def say(text: str, quiet: bool) -> None:
    """Tell people what is going on, on standard error."""
    if not quiet:
        print(text, file=sys.stderr, flush=True)


def _fit_once(prepared: Prepared, folder: Path, model: str, options: TrainingOptions, seed: int, quiet: bool) -> float:
    """Fit unless `folder` holds this very fit; return the seconds that the fit took."""
    note = folder.parent / f"{folder.name}.fit.json"
    if (folder / MANIFEST).exists() and note.exists():
        before = json.loads(note.read_text(encoding="utf-8"))
        if before["rows_sha256"] == digest_of_table(prepared.rows):
            return float(before["seconds"])
    start = time.perf_counter()
    fit(prepared, model=model, out=folder, options=options, seed=seed, quiet=quiet)
    seconds = time.perf_counter() - start
    write_json(note, {"seconds": seconds, "rows_sha256": digest_of_table(prepared.rows)})
    return seconds


def _leaked(prepared: Prepared, scenario: Scenario) -> int:
    benign = prepared.rows.filter(prepared.rows.column("benign")).column("row").to_pylist()
    return len(set(benign) & set(scenario.poisoned))
