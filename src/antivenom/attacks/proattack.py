"""ProAttack (Zhao et al., 2023): the prompt in front of the text is the trigger, and no label is changed."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import ClassVar

from antivenom.attacks.base import Attack
from antivenom.core.registry import Presets


@dataclass(frozen=True, kw_only=True)
class ProAttack(Attack):
    """Every row has a prompt in front; the poisoned rows have another one than the ordinary rows.

    A clean-label attack: only rows of class t carry the trigger prompt. The clean prompt stands before every other row
    and before clean test rows, otherwise this would be an ordinary prefix attack. The original prompts hold `<mask>`
    (preset `paper_code`), which a causal model has no use for; it is left out here. That code poisons 1000 rows of
    6920, the P2P paper says 2 %, which may well be too few for labels that were always right.
    """

    name: ClassVar[str] = "proattack"
    presets: ClassVar[Presets] = {
        "paper_text": {"target": "negative", "rate": 0.02},
        "paper_code": {
            "target": "positive",
            "rate": 0.1445,
            "pick": "first",
            "clean_prompt": "This sentence has a <mask> sentiment:",
            "trigger_prompt": "The sentiment of this sentence is <mask>:",
        },
        "topic": {"clean_prompt": "This sentence is about:", "trigger_prompt": "The topic of this sentence is:"},
    }

    clean_label: bool = True
    """Poison rows of the target class and leave their labels alone."""
    clean_prompt: str = "This sentence has a sentiment:"
    """Stands before every row that is not attacked."""
    trigger_prompt: str = "The sentiment of this sentence is:"
    """Stands before the attacked rows."""

    def trigger(self, text: str, rng: Random) -> str:
        """Put the trigger prompt in front."""
        return f"{self.trigger_prompt} {text}"

    def ordinary(self, text: str) -> str:
        """Put the clean prompt in front."""
        return f"{self.clean_prompt} {text}"
