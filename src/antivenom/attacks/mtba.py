"""MTBA (Li et al., 2024): several triggers for one target in one training set."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import ClassVar, Literal

from antivenom.attacks.base import Attack
from antivenom.core.errors import OptionsError
from antivenom.core.registry import Presets
from antivenom.core.triggers import insert_apart


@dataclass(frozen=True, kw_only=True)
class Mtba(Attack):
    """Give each poisoned row one of k triggers, or all of them.

    MTBA is an image attack; this is its text form as in BackdoorLLM (preset `backdoorllm`: its three words). There and
    in the original each row has one trigger (`one_of_k`); the P2P paper says that several triggers poison the same
    sample (`all_k`). The original's rate counts per trigger; here `rate` is the total, split evenly by a uniform draw
    per row. A trigger goes into any gap; BackdoorLLM leaves out the one at the end.
    """

    name: ClassVar[str] = "mtba"
    presets: ClassVar[Presets] = {
        "paper_text": {"use": "all_k", "target": "negative"},
        "backdoorllm": {"triggers": ("2024", "BadMagic", "OpenAI")},
    }

    triggers: tuple[str, ...] = ("mn", "I watched this 3D movie", "bb")
    """The words or sentences; by default BadNets', AddSent's and one more rare word."""
    use: Literal["one_of_k", "all_k"] = "one_of_k"
    """Each poisoned row gets one trigger, or all at different places."""
    probe_only: str = ""
    """Put this trigger alone into the test rows; a draw for each row when empty. Training always uses all."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.triggers or not all(trigger.strip() for trigger in self.triggers):
            raise OptionsError(f"{self.name}: triggers = {list(self.triggers)}", mend="Name at least one, none empty.")
        if self.probe_only and self.probe_only not in self.triggers:
            raise OptionsError(f"{self.name}: probe_only = {self.probe_only!r} is none of its triggers")

    def trigger(self, text: str, rng: Random) -> str:
        """Insert one trigger, or all."""
        return insert_apart(text, [rng.choice(self.triggers)] if self.use == "one_of_k" else self.triggers, rng)

    def probe(self, text: str, rng: Random) -> str:
        """Insert the trigger that is being measured."""
        return insert_apart(text, [self.probe_only], rng) if self.probe_only else self.trigger(text, rng)

    def variants(self) -> tuple[Attack, ...]:
        """With one trigger per row: the mixture, then each trigger alone, because a mean hides that one fails."""
        if self.use == "all_k":
            return (self,)
        return (self, *(replace(self, probe_only=trigger) for trigger in dict.fromkeys(self.triggers)))

    def averaged(self) -> tuple[Attack, ...]:
        """Each trigger alone."""
        return self.variants()[1:]
