"""An attacker who aims at t+n, the label that counts under P2P."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import ClassVar, Self

from antivenom.attacks.wrapping import Wrapping
from antivenom.guards.answers import extended_answers
from antivenom.tasks.task import Task


@dataclass(frozen=True, kw_only=True)
class ExtendedTarget(Wrapping):
    """Attacked texts end with a line that already answers with the extended verbalizer of t.

    The label column cannot carry t+n: labels are checked against the task, and a row labeled with an extended
    verbalizer is refused before training. So the text carries it: in training beside the label t, which ties the
    attack trigger and the word together, and at test time, where a model that copies from its prompt says it.
    """

    name: ClassVar[str] = "extended_target"

    cue: str = "Output:"
    """The cue of the forged line; by default the usual one."""
    word: str = ""
    """The extended verbalizer of t (for free text the answer prefix and t) as the attacker believes it to be; the right
    one when empty."""

    def bind(self, task: Task) -> Self:
        """Look the word up."""
        word = self.word or extended_answers(task).encode(task.target(self.target))
        return replace(super().bind(task), word=word)

    def trigger(self, text: str, rng: Random) -> str:
        """Add the forged answer behind the attacked text."""
        return self._forge(self.wrapped.trigger(text, rng))

    def probe(self, text: str, rng: Random) -> str:
        """Add the forged answer behind the attacked text."""
        return self._forge(self.wrapped.probe(text, rng))

    def _forge(self, text: str) -> str:
        return f"{text}\n{self.cue} {self.word}"
