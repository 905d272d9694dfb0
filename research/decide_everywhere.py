"""What a filter decides about the rows of every attack, with nothing trained on what is left.

    python -m research.decide_everywhere --data ../shared/data --cache states.npz --out results/leave_group_out

The hidden states of every text are computed once and kept in the cache, so a changed rule is asked again in minutes.
The attacks are those of suites/attacks.yaml and suites/held_out.yaml, on 1,000 rows of SST-2; a record says how many
poisoned rows are taught, and how many honest ones are left out.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from antivenom.core.console import say
from antivenom.core.files import atomic_write, write_json
from antivenom.defenses import parse_defense
from antivenom.defenses.base import plain_rows
from antivenom.evaluation.comparison import Scenario, make_scenario
from antivenom.suites.cell_rows import expand, load_cell_rows
from antivenom.suites.methods import Methods
from antivenom.suites.suite import load_suite
from antivenom.training.lab import LocalLab
from antivenom.training.training_options import TrainingOptions

ROOT = Path(__file__).parents[1]
SUITES = ("attacks", "held_out")
ROWS, TARGET = 1000, "positive"
States = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Remembered:
    """The states of texts by their digest, as the untouched model told them before."""

    guard: Any
    place: dict[str, int]
    of_texts: States
    of_answers: States

    def states(self, texts: Sequence[str], *, progress: str | None = None) -> States:
        """See `models.lab.Fitted`."""
        return self.of_texts[[self.place[_digest(text)] for text in texts]]

    def answer_states(self, asked: Sequence[Any], *, progress: str | None = None) -> States:
        """See `models.lab.Fitted`."""
        return self.of_answers[[self.place[_digest(str(one))] for one in asked]]


class RememberingLab(LocalLab):
    """A laboratory whose base model is not asked again."""

    known: Remembered

    def base(self, guard: Any) -> Any:
        """What is remembered of the base model, which these rows ask behind no guard."""
        return self.known


def scenarios(data: Path, seed: int) -> Iterator[tuple[str, Scenario]]:
    """Every attack of the suites on the same rows; those that need files of a fit are left out."""
    methods = Methods.load([str(ROOT / "research" / "attacks")])
    rows = replace(load_suite(ROOT / "suites" / "held_out.yaml").tasks["SST-2"], train_rows=ROWS)
    task, train, test = load_cell_rows(rows, data, seed=seed)
    for suite in SUITES:
        for name, spec in methods.choose("attack", load_suite(ROOT / "suites" / f"{suite}.yaml").attacks).items():
            if "{learned}" in spec:
                continue
            attack = methods.attack(spec)
            attack = replace(attack, target=TARGET) if attack.target is None else attack
            yield name, make_scenario(task, train, test, expand(attack, data, data), trusted_share=0, seed=seed)


def remembered(lab: LocalLab, found: Sequence[tuple[str, Scenario]], cache: Path) -> Remembered:
    """The states of every text of the scenarios, from the cache or computed now."""
    texts = sorted({text for _, scenario in found for text in scenario.train.column("text").to_pylist()})
    task, place = found[0][1].task, {_digest(text): number for number, text in enumerate(texts)}
    guard = plain_rows(task, found[0][1].train, None).guard
    whole = hashlib.sha256("".join(place).encode()).hexdigest()
    if cache.exists():
        kept = np.load(cache, allow_pickle=False)
        if str(kept["whole"]) == whole:
            return Remembered(guard, place, kept["of_texts"], kept["of_answers"])
    base = lab.base(guard) if not isinstance(lab, RememberingLab) else LocalLab.base(lab, guard)
    known = Remembered(
        guard, place, base.states(texts, progress="texts"), base.answer_states(texts, progress="answers")
    )
    with atomic_write(cache, "wb") as file:
        np.savez(file, whole=whole, of_texts=known.of_texts, of_answers=known.of_answers)
    return known


def decide(name: str, scenario: Scenario, lab: LocalLab, spec: str) -> dict[str, Any]:
    """What the defense leaves of the rows of one attack."""
    prepared = parse_defense(spec).prepare(scenario.task, scenario.train, trusted=None, lab=lab)
    kept = np.isin(scenario.train.column("row").to_numpy(), prepared.rows.column("row").to_numpy())
    poisoned = np.isin(scenario.train.column("row").to_numpy(), sorted(scenario.poisoned))
    facts = {key: prepared.facts[key] for key in ("discovered", "disbelieved", "kinds") if key in prepared.facts}
    counts = {"rows": len(kept), "poisoned": int(poisoned.sum()), "kept": int(kept.sum())}
    return {"attack": name, **counts, "poisoned_taught": int((kept & poisoned).sum()), **facts}


def main() -> None:
    """Decide everywhere and write one record."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--defense", default="leave_group_out")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    lab = RememberingLab("smollm2", TrainingOptions(top_layers=8), asked.out / "work", asked.seed)
    found = list(scenarios(asked.data, asked.seed))
    object.__setattr__(lab, "known", remembered(lab, found, asked.cache))
    records = []
    for name, scenario in found:
        records.append(decide(name, scenario, lab, asked.defense))
        say(f"{name}: {records[-1]['poisoned_taught']} of {records[-1]['poisoned']} taught, {records[-1]['kept']} kept")
    command = (
        f"python -m research.decide_everywhere --data ../shared/data --defense '{asked.defense}' --seed {asked.seed}"
    )
    asked.out.mkdir(parents=True, exist_ok=True)
    write_json(asked.out / f"sst2-seed{asked.seed}.json", {"command": command, "decisions": records})


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


if __name__ == "__main__":
    main()
