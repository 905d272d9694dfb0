"""A cell: one model, trained one way on rows that one attack poisoned, defended one way, and measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from fnmatch import fnmatchcase
from itertools import product
from typing import Literal

from antivenom.core.errors import OptionsError
from antivenom.core.options import Options
from antivenom.suites.methods import Methods
from antivenom.suites.suite import ALL, Recipe, Suite, TaskRows

Control = Literal["", "never poisoned", "perfect filter"]


@dataclass(frozen=True, kw_only=True)
class Cell(Options):
    """Everything that decides a number, as the suite says it."""

    task: TaskRows
    model: str
    attack: str
    """The attack's spec."""
    defense: str
    """The defense's spec."""
    recipe: Recipe
    seed: int
    control: Control = ""
    trusted_share: float = 0.0
    keep_states: bool = True
    train: bool = True


@dataclass(frozen=True)
class Place(Options):
    """Where a cell stands in the grid: the names that the suite gives."""

    task: str
    model: str
    attack: str
    defense: str
    recipe: str
    seed: str
    control: str = ""

    def __str__(self) -> str:
        """`task/model/attack/defense/recipe/seed`, and `/control` if it is one."""
        parts = [self.task, self.model, self.attack, self.defense, self.recipe, self.seed, self.control]
        return "/".join(part for part in parts if part)


def grid(suite: Suite, methods: Methods) -> Iterator[tuple[Place, Cell]]:
    """Every cell in a fixed order, those that share a training beside each other.

    Raises:
        OptionsError: a control names a defense that the suite does not have.
    """
    attacks, defenses = methods.choose("attack", suite.attacks), methods.choose("defense", suite.defenses)
    attacks = _at_rates(attacks, suite.rates)
    never = _controlled(suite.controls.never_poisoned, defenses, "never_poisoned")
    perfect = _controlled(suite.controls.perfect_filter, defenses, "perfect_filter")
    axes = product(suite.tasks.items(), suite.models.items(), suite.recipes.items(), suite.seeds, attacks.items())
    for task, model, recipe, seed, attack in axes:
        for name, defense in defenses.items():
            place = Place(task[0], model[0], attack[0], name, recipe[0], str(seed))
            cell = Cell(
                task=task[1],
                model=model[1],
                attack=attack[1],
                defense=defense,
                recipe=recipe[1],
                seed=seed,
                trusted_share=suite.trusted_share,
                keep_states=suite.keep_states,
                train=suite.train,
            )
            controls: tuple[Control, ...] = ("never poisoned",) if name in never else ()
            controls += ("perfect filter",) if name in perfect else ()
            for control in ("", *controls):
                where = replace(place, control=control)
                if not chosen(where, suite.without, otherwise=False):
                    yield where, replace(cell, control=control)


def chosen(place: Place, patterns: Sequence[str], *, otherwise: bool) -> bool:
    """Whether a place fits one of the patterns; `otherwise` where there are none.

    A pattern is `axis=GLOB,axis=GLOB`, all of which must fit, or a GLOB of the whole name.

    Raises:
        OptionsError: there is no such axis.
    """
    axes = [each.name for each in fields(Place)]
    for pattern in patterns:
        if "=" not in pattern:
            if fnmatchcase(str(place), pattern):
                return True
            continue
        wanted = [part.strip().partition("=") for part in pattern.split(",")]
        for axis, _, _ in wanted:
            if axis not in axes:
                raise OptionsError(f"{pattern}: there is no axis {axis!r}", mend=f"There are: {', '.join(axes)}.")
        if all(fnmatchcase(getattr(place, axis), glob) for axis, _, glob in wanted):
            return True
    return otherwise if not patterns else False


def _at_rates(attacks: dict[str, str], rates: Sequence[float]) -> dict[str, str]:
    """Every attack at every rate; as it is where there are none."""
    if not rates:
        return attacks
    joined = {name: f"{spec}{';' if ':' in spec else ':'}" for name, spec in attacks.items()}
    return {f"{name} {100 * rate:g} %": f"{spec}rate={rate:g}" for name, spec in joined.items() for rate in rates}


def _controlled(names: Sequence[str], defenses: dict[str, str], control: str) -> set[str]:
    if ALL in names:
        return set(defenses)
    for name in names:
        if name not in defenses:
            raise OptionsError(
                f"controls: {control} names {name!r}", mend=f"The suite's defenses are: {', '.join(defenses)}."
            )
    return set(names)
