"""What attackers who know P2P have in common: they change where and how another attack's trigger is planted."""

from __future__ import annotations

import json
from abc import ABC
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from random import Random
from typing import Self

from antivenom.attacks import parse_attack
from antivenom.attacks.base import Added, Attack, Chosen
from antivenom.tasks.task import Task

PAPER_BENIGN_TRIGGER = "The query currently entered is:"
"""The benign trigger that the P2P paper prints: the best guess of an attacker who knows nothing else."""


@dataclass(frozen=True, kw_only=True)
class Wrapping(Attack, ABC):
    """Base of the attacks that wrap another one. The rate, target and choice of rows are the outer attack's."""

    inner: str = "badnets"
    """The attack whose trigger is planted, as `name:option=value;...`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.wrapped

    @cached_property
    def wrapped(self) -> Attack:
        """The inner attack."""
        return parse_attack(self.inner)

    def bind(self, task: Task) -> Self:
        """Bind the inner attack, with this one's target."""
        bound = replace(self.wrapped, target=self.target).bind(task)
        return replace(self, inner=json.dumps(bound.to_dict()))

    def probe(self, text: str, rng: Random) -> str:
        """As the inner attack: at test time the guard itself puts the benign trigger."""
        return self.wrapped.probe(text, rng)

    def eligible(self, text: str) -> bool:
        """As the inner attack."""
        return self.wrapped.eligible(text)

    def ordinary(self, text: str) -> str:
        """As the inner attack."""
        return self.wrapped.ordinary(text)

    def malicious(self, text: str, target: str) -> str:
        """As the inner attack."""
        return self.wrapped.malicious(text, target)

    def companions(self, chosen: Sequence[Chosen], others: Sequence[Chosen]) -> list[Added]:
        """As the inner attack."""
        return self.wrapped.companions(chosen, others)

    def variants(self) -> tuple[Attack, ...]:
        """One for each variant of the inner attack."""
        return tuple(replace(self, inner=str(variant)) for variant in self.wrapped.variants())

    def averaged(self) -> tuple[Attack, ...]:
        """Those of the inner attack."""
        return tuple(replace(self, inner=str(variant)) for variant in self.wrapped.averaged())
