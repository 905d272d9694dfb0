"""The demo: the main job on a real model and real rows, small enough for two CPU cores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pyarrow.compute as pc

from antivenom.artifacts.export import write_rows
from antivenom.attacks.addsent import AddSent
from antivenom.core.console import say_table, tell
from antivenom.core.files import write_json
from antivenom.data.rows import load_rows, split_rows
from antivenom.defenses.none import NoDefense
from antivenom.defenses.standard import Standard
from antivenom.evaluation.comparison import Outcome, Scenario, fit_and_measure, make_scenario, record
from antivenom.guards.answers import TextReading
from antivenom.guards.labels import Reading
from antivenom.inference.guarded import load_guarded
from antivenom.models.embedded import APPROXIMATION, NAME
from antivenom.tasks.task import Classification
from antivenom.training.lab import LocalLab
from antivenom.training.training_options import TrainingOptions

TRAIN, TEST = "reviews.csv", "test.csv"
"""The demo's rows in its folder, for the first commands of a user."""
TARGET = "positive"
ATTACK = AddSent(rate=0.05, target=TARGET)
EXAMPLES = 3
RECIPE = TrainingOptions(learning_rate=2e-3, batch_size=8, epochs=2, top_layers=8)
"""A small model and a small set want more, larger steps than the paper's 2e-4 and 32; chosen on clean accuracy."""


def recipe_options() -> str:
    """The demo's recipe as options of a command."""
    usual = TrainingOptions().to_dict()
    changed = {key: value for key, value in RECIPE.to_dict().items() if value != usual[key]}
    return " ".join(f"--{key.replace('_', '-')} {value}" for key, value in changed.items())


@dataclass(frozen=True)
class DemoResult:
    """What the demo found."""

    title: str
    outcomes: list[Outcome]
    record: dict[str, Any]
    examples: list[dict[str, Any]]

    def show_examples(self) -> None:
        """Print what both models say to a few negative reviews, without and with the trigger."""
        names = [outcome.defense.name for outcome in self.outcomes]
        rows = [[e["text"], "yes" if e["trigger"] else "no", *(e[name] for name in names)] for e in self.examples]
        title = "Three negative reviews, without and with the attacker's sentence"
        say_table(title, ["text", "trigger", *names], rows, left=2 + len(names), ruled=True)


def demo_rows(out: Path, *, train_rows: int, test_rows: int, seed: int) -> Scenario:
    """Poison film reviews, and write them to `reviews.csv` and clean test rows to `test.csv` in `out`.

    The attacker plants a sentence in 5 % of the training rows and labels them positive; nobody vouches for any row.
    """
    loaded = load_rows("embedded:rotten_tomatoes")
    task = Classification.for_labels(loaded.labels)
    train, test = split_rows(loaded.table, [train_rows, test_rows], seed=seed)
    scenario = make_scenario(task, train, test, ATTACK, trusted_share=0.0, seed=seed)
    write_rows(out / TRAIN, scenario.train)
    write_rows(out / TEST, scenario.test)
    return scenario


def run_demo(
    out: Path, *, train_rows: int, test_rows: int, seed: int, quiet: bool, command: Sequence[str] = ()
) -> DemoResult:
    """Fine-tune the embedded model on the rows of `demo_rows`, undefended and with `standard`, and compare."""
    scenario = demo_rows(out, train_rows=train_rows, test_rows=test_rows, seed=seed)
    train = scenario.train
    tell(f"{len(scenario.poisoned)} of {train.num_rows} training rows are poisoned: {ATTACK.sentence!r}", quiet=quiet)
    defenses = [NoDefense(), Standard()]
    outcomes = fit_and_measure(scenario, defenses, LocalLab(NAME, RECIPE, out, seed, quiet))
    examples = _examples(scenario, outcomes, seed)
    settings = {"model": NAME, "approximation": APPROXIMATION, "training": RECIPE.to_dict(), "seed": seed}
    found = record(scenario, outcomes, settings, command)
    found["examples"] = examples
    write_json(out / "record.json", found)
    title = f"AddSent in {len(scenario.poisoned)} of {train.num_rows} film reviews; {NAME} ({APPROXIMATION})"
    return DemoResult(title, outcomes, found, examples)


def _examples(scenario: Scenario, outcomes: list[Outcome], seed: int) -> list[dict[str, Any]]:
    """What every model says to the first few negative test rows and to the same rows with the trigger."""
    rows = scenario.test.filter(pc.not_equal(scenario.test.column("answer"), TARGET)).slice(0, EXAMPLES)
    clean = rows.column("text").to_pylist()
    texts = [text for t in clean for text in (t, scenario.attack.trigger(t, Random(seed)))]
    examples: list[dict[str, Any]] = [{"text": text, "trigger": i % 2 == 1} for i, text in enumerate(texts)]
    for outcome in outcomes:
        said = map(_say, load_guarded(outcome.folder).predict(texts))
        for example, answer in zip(examples, said, strict=True):
            example[outcome.defense.name] = answer
    return examples


def _say(reading: Reading | TextReading) -> str:
    if isinstance(reading, TextReading):
        return reading.answer
    return f"{reading.answer} ({reading.probability:.2f})"
