"""What a filter decides about the rows of every attack, with nothing trained on what is left.

    python -m research.decide_everywhere --data ../shared/data --store replay --out results/decisions

What models say is kept in the store, so a changed rule is asked again in minutes.
The attacks are those of suites/attacks.yaml and suites/held_out.yaml, on 1,000 rows of SST-2; a record says how many
poisoned rows are taught, and how many honest ones are left out.
"""

from __future__ import annotations

import argparse
import hashlib
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from antivenom.core.console import say
from antivenom.core.files import atomic_write, write_json
from antivenom.defenses import parse_defense
from antivenom.defenses.base import plain_rows
from antivenom.defenses.leave_group_out import DEPTHS
from antivenom.evaluation.comparison import Scenario, make_scenario
from antivenom.suites.cell_rows import expand, load_cell_rows
from antivenom.suites.decided import count_teaching, decided_rows
from antivenom.suites.methods import Methods
from antivenom.suites.suite import load_suite
from antivenom.training.lab import LocalLab

ROOT = Path(__file__).parents[1]
SUITES = ("attacks", "held_out")
ROWS, TARGET = 1000, "positive"
States = npt.NDArray[Any]


@dataclass(frozen=True)
class Remembered:
    """The states inside the untouched model, by the digest of what was asked."""

    guard: Any
    place: dict[str, int]
    inner: States

    def inner_states(self, asked: Sequence[Any], depths: Sequence[float], *, progress: str | None = None) -> States:
        """See `models.lab.Fitted`."""
        places = [self.place[_digest(str(one))] for one in asked]
        return self.inner[places].astype(np.float32)


@dataclass(frozen=True)
class RememberingLab(LocalLab):
    """A laboratory whose models are asked each question once."""

    everything: tuple[Scenario, ...] = ()
    """All that will be asked about, so that the base model reads every text in one go."""

    @cached_property
    def _known(self) -> Remembered:
        return remembered(LocalLab(self.model, self.options, self.store, self.seed), self.everything)

    def base(self, guard: Any) -> Any:
        """What is remembered of the base model, which these rows ask behind no guard."""
        return self._known


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


def remembered(lab: LocalLab, found: Sequence[Scenario]) -> Remembered:
    """The base model's states of every text of the scenarios, from the store or computed now."""
    texts = sorted({text for scenario in found for text in scenario.train.column("text").to_pylist()})
    place = {_digest(text): number for number, text in enumerate(texts)}
    guard = plain_rows(found[0].task, found[0].train, None).guard
    whole, path = hashlib.sha256(repr((DEPTHS, list(place))).encode()).hexdigest(), lab.store / "states.npz"
    if path.exists():
        kept = np.load(path, allow_pickle=False)
        if str(kept["whole"]) == whole:
            return Remembered(guard, place, kept["inner"])
    inner = lab.base(guard).inner_states(texts, DEPTHS, progress="texts").astype(np.float16)
    lab.store.mkdir(parents=True, exist_ok=True)
    with atomic_write(path, "wb") as file:
        np.savez(file, whole=whole, inner=inner)
    return Remembered(guard, place, inner)


def chosen_half(name: str) -> str:
    """The half of the attacks that a rule may be chosen on, or the one that is looked at once; a hash decides."""
    return "choose" if hashlib.sha256(name.encode()).digest()[0] % 2 else "check"


def decide(name: str, scenario: Scenario, lab: LocalLab, spec: str) -> dict[str, Any]:
    """What the defense makes of the rows of one attack."""
    rows, none = scenario.train, scenario.trusted
    prepared = parse_defense(spec).prepare(scenario.task, rows, trusted=None, lab=lab)
    decided = decided_rows(rows, frozenset(scenario.poisoned), scenario.unpoisoned, none, prepared)
    told = ("discovered", "disbelieved", "kinds")
    facts: dict[str, Any] = {key: prepared.facts[key] for key in told if key in prepared.facts}
    return {"attack": name, "half": chosen_half(name), "rows": rows.num_rows, **vars(count_teaching(decided)), **facts}


def main() -> None:
    """Decide everywhere and write one record."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--store", type=Path, required=True, help="what models said is kept here")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--defense", default="standard")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--half", choices=["choose", "check"], help="of the attacks, by hash; by default both")
    parser.add_argument("--model", default="smollm2", help="the embedded one, or a folder")
    parser.add_argument("--attacks", nargs="+", default=["*"], help="patterns of names; by default every attack")
    asked = parser.parse_args()
    everything = [each for each in scenarios(asked.data, asked.seed) if _fits(each[0], asked.attacks)]
    found = [each for each in everything if asked.half in (None, chosen_half(each[0]))]
    recipe = load_suite(ROOT / "suites" / "held_out.yaml").recipes["small"]
    lab = RememberingLab(
        asked.model,
        recipe.training(),
        asked.store,
        asked.seed,
        everything=tuple(one for _, one in everything),
    )
    records = []
    for name, scenario in found:
        records.append(decide(name, scenario, lab, asked.defense))
        last = records[-1]
        say(f"{name}: {last['poison_taught']} of {last['poisoned']} taught, {last['honest_lost']} honest rows lost")
    options = f"--defense '{asked.defense}' --seed {asked.seed}" + (f" --half {asked.half}" if asked.half else "")
    options += "" if asked.model == "smollm2" else f" --model {Path(asked.model).name}"
    options += "" if asked.attacks == ["*"] else f" --attacks {shlex.join(asked.attacks)}"
    command = f"python -m research.decide_everywhere --data ../shared/data {options}"
    asked.out.mkdir(parents=True, exist_ok=True)
    parts = (asked.defense.partition(":")[0], f"sst2-seed{asked.seed}", asked.half)
    model = None if asked.model == "smollm2" else Path(asked.model).name
    name = "-".join(part for part in (*parts, model) if part)
    write_json(asked.out / f"{name}.json", {"command": command, "decisions": records})


def _fits(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


if __name__ == "__main__":
    main()
