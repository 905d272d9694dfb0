"""Compare defenses under one attack: poison, fit each, evaluate each, one table and one record."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from antivenom.artifacts.artifact import load_artifact
from antivenom.artifacts.manifest import Manifest
from antivenom.attacks import Attack, Poisoned
from antivenom.core.console import tell
from antivenom.data.digests import digest_of_table
from antivenom.data.rows import with_columns
from antivenom.data.sampling import random_reserve
from antivenom.defenses import Defense, Prepared
from antivenom.evaluation.evaluate import evaluate, write_outputs
from antivenom.evaluation.left_out import LeftOut
from antivenom.evaluation.record import Evaluation
from antivenom.evaluation.recount import Contrast, Outputs, contrast, take_outputs
from antivenom.guards.guard import AnyTask
from antivenom.training.lab import LocalLab


@dataclass(frozen=True)
class Scenario:
    """Rows as a victim meets them: some vouched for, the rest poisoned."""

    task: AnyTask
    train: pa.Table
    """All training rows, poisoned."""
    trusted: pa.Table
    """The rows that the attacker could not touch; they also stand in `train`."""
    test: pa.Table
    """Clean test rows."""
    attack: Attack
    poisoned: tuple[int, ...]
    """Row numbers of the poisoned rows; no defense sees them."""
    unpoisoned: pa.Table
    """All training rows as they were before the attack, for a control that was never poisoned."""


@dataclass(frozen=True)
class Outcome:
    """One defense under the scenario's attack."""

    defense: Defense
    folder: Path
    evaluation: Evaluation
    train_seconds: float
    leaked: int
    """Poisoned rows that got the benign trigger and have the attacker's answer."""
    corrected: int
    """Those that got it with another answer."""
    left_out: LeftOut
    """Rows that are not trained on at all, beside the truth."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What the defense did, as it says itself; a finished fit that is used again may be an older version's."""
    against_first: tuple[Contrast, ...] = ()
    """This defense beside the first one on the same rows; empty for the first."""
    never_poisoned: Evaluation | None = None
    """The same defense and recipe on the rows before the attack, where that control was asked for. What the trigger
    does there, it does without any poison."""
    against_never_poisoned: tuple[Contrast, ...] = ()
    """That control beside this model on the same rows: what the poison did."""


def make_scenario(
    task: AnyTask, train: pa.Table, test: pa.Table, attack: Attack, *, trusted_share: float, seed: int
) -> Scenario:
    """Set aside trusted rows, the same share of each class (none for a share of 0), then poison among the others.

    The attack's rate is a share of all training rows, the trusted ones included.
    """
    vouched = np.zeros(train.num_rows, dtype=bool)
    if trusted_share:
        vouched = random_reserve(train, task.classes, trusted_share, seed=seed)
    trusted, rest = train.filter(pa.array(vouched)), train.filter(pa.array(~vouched))
    planted = plant(task, rest, attack, of=train.num_rows, seed=seed)
    # Added rows were numbered behind the untrusted ones; behind all rows, no number stands for two of them.
    added = planted.rows.num_rows - rest.num_rows
    first = 1 + max(train.column("row").to_pylist(), default=0)
    numbers = [*rest.column("row").to_pylist(), *range(first, first + added)]
    planted = replace(planted, rows=with_columns(planted.rows, row=numbers))
    # What the attacked pipeline does to every row (a prompt in front, say) it does to the trusted ones too.
    trusted = attack.clean(task, trusted)
    rows = pa.concat_tables([planted.rows, trusted.select(planted.rows.column_names)]).sort_by("row")
    return Scenario(task, rows, trusted, test, attack, planted.numbers, attack.clean(task, train))


def plant(task: AnyTask, rest: pa.Table, attack: Attack, *, of: int, seed: int) -> Poisoned:
    """Poison among the rows that the attacker can touch, at the attack's rate of `of` rows."""
    rate = min(1.0, attack.rate * of / max(1, rest.num_rows))
    return replace(attack, rate=rate).poison(task, rest, seed=seed)


def fit_and_measure(
    scenario: Scenario, defenses: Sequence[Defense], lab: LocalLab, *, never_poisoned: bool = False
) -> list[Outcome]:
    """Fit and evaluate every defense; finished fits are used again, so a stopped comparison goes on.

    Args:
        scenario: The rows and the attack.
        defenses: What to compare; each is set beside the first.
        lab: Model, recipe, and the folder of the fits.
        never_poisoned: Fit every defense on the rows before the attack as well, and measure the same attack on that.
    """
    outcomes: list[Outcome] = []
    first: Outputs | None = None
    for number, defense in enumerate(defenses):
        twice = [d.name for d in defenses].count(defense.name) > 1
        name = f"{defense.name}-{number}" if twice else defense.name
        tell(f"[{number + 1}/{len(defenses)}] {name}: fine-tuning on {scenario.train.num_rows} rows", quiet=lab.quiet)
        outcome, kept = _one_model(scenario, defense, lab, name, scenario.train)
        if first is not None:
            outcome = replace(outcome, against_first=contrast(first, kept))
        if never_poisoned:
            tell(f"{name}: the same, never poisoned", quiet=lab.quiet)
            rows = scenario.unpoisoned
            control, of_control = _one_model(scenario, defense, lab, f"{name}-never-poisoned", rows)
            difference = contrast(of_control, kept)
            outcome = replace(outcome, never_poisoned=control.evaluation, against_never_poisoned=difference)
        first = first or kept
        outcomes.append(outcome)
    return outcomes


def _one_model(
    scenario: Scenario, defense: Defense, lab: LocalLab, name: str, train: pa.Table
) -> tuple[Outcome, Outputs]:
    """One model, and its stored outputs."""
    prepared, folder, seconds = lab.defended(defense, scenario.task, train, trusted=scenario.trusted, name=name)
    facts = {"artifact": name, "defense": defense.name}
    model, attacks = lab.load(folder), [scenario.attack]
    found, outputs = evaluate(
        model,
        scenario.test,
        attacks,
        seed=lab.seed,
        target_rows=measure_is_empty(prepared),
        provenance=facts,
        quiet=lab.quiet,
    )
    write_outputs(lab.store / f"{name}.outputs.parquet", outputs)
    taught, left_out = _taught_of_poison(prepared, scenario), _left_out(prepared, scenario, train)
    outcome = Outcome(defense, folder, found, seconds, *taught, left_out, prepared.facts)
    return outcome, take_outputs(outputs, name)


def record(
    scenario: Scenario, outcomes: Sequence[Outcome], settings: dict[str, Any], command: Sequence[str] = ()
) -> dict[str, Any]:
    """Everything about a comparison as JSON values: what was asked, on what machine, and what came out."""
    return {
        "command": public_command(command),
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
                "defense": outcome.defense.public_dict(),
                "evaluation": outcome.evaluation.to_dict(),
                "against_first": [contrast.to_dict() for contrast in outcome.against_first],
                **_control(outcome),
                "train_seconds": round(outcome.train_seconds, 1),
                "leaked": outcome.leaked,
                "corrected": outcome.corrected,
                "left_out": outcome.left_out.to_record(),
                "reserve": public_facts(outcome.facts),
                **_trained(load_artifact(outcome.folder).manifest),
            }
            for outcome in outcomes
        ],
    }


def public_command(words: Sequence[str]) -> str:
    """A command line with its paths relative to this folder. No secret stands in one (`cli.options.public_spec`)."""
    return " ".join(os.path.relpath(word) if Path(word).is_absolute() else word for word in words)


def _control(outcome: Outcome) -> dict[str, Any]:
    """The control that was never poisoned, if there was one."""
    if outcome.never_poisoned is None:
        return {}
    difference = [contrast.to_dict() for contrast in outcome.against_never_poisoned]
    return {"never_poisoned": outcome.never_poisoned.to_dict(), "against_never_poisoned": difference}


def _trained(manifest: Manifest) -> dict[str, Any]:
    """What a record keeps of a manifest: how long was trained, and with what."""
    return {"steps": manifest.training["steps"], "versions": manifest.versions}


def public_facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What a defense did, without its findings, which quote rows."""
    return {key: value for key, value in facts.items() if not key.endswith("findings")}


def _taught_of_poison(prepared: Prepared, scenario: Scenario) -> tuple[int, int]:
    """Poisoned rows that get the benign trigger: with the answer that the attacker gave them, and with another."""
    poisoned = set(scenario.poisoned)
    given = dict(
        zip(scenario.train.column("row").to_pylist(), scenario.train.column("answer").to_pylist(), strict=True)
    )
    benign = prepared.rows.filter(prepared.rows.column("benign")).select(["row", "answer"]).to_pylist()
    as_given = [row["answer"] == given[row["row"]] for row in benign if row["row"] in poisoned]
    return sum(as_given), len(as_given) - sum(as_given)


def _left_out(prepared: Prepared, scenario: Scenario, train: pa.Table) -> LeftOut:
    """Rows of `train` that are not trained on; where none of them is poisoned, none can be found."""
    kept = set(prepared.rows.column("row").to_pylist())
    left = [row for row in train.column("row").to_pylist() if row not in kept]
    poisoned = set() if train is scenario.unpoisoned else set(scenario.poisoned)
    return LeftOut(len(left), len(poisoned.intersection(left)), len(poisoned))


def measure_is_empty(prepared: Prepared) -> bool:
    """Whether attack success is 0 whatever happens, so that rows of the target label have to be measured too.

    PDB with two labels says so in its facts.
    """
    return bool(prepared.facts.get("binary"))
