"""An attacker whose rows all have their true labels (Turner et al., 2019): no screening of labels finds them."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import ClassVar

from antivenom.attacks.wrapping import Wrapping
from antivenom.core.errors import OptionsError


@dataclass(frozen=True, kw_only=True)
class LabelConsistent(Wrapping):
    """Plant the inner trigger into rows of class t, and weaken these rows so that the trigger is the easiest clue.

    A reserve that holds such a row teaches P2P's model the attack trigger together with h(t), and nothing about the row
    is wrong. Turner et al. weaken images by interpolation or perturbation; here words are left out.
    """

    name: ClassVar[str] = "label_consistent"
    approximation: ClassVar[str] = "rows are weakened by leaving out words, not by adversarial perturbation"

    rate: float = 0.1
    """Share of the original rows that are poisoned; true labels need more than false ones."""
    clean_label: bool = True
    """Poison rows of the target class and leave their labels alone."""
    drop: float = 0.5
    """Share of the words that is left out of a poisoned training row; two always stay."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.drop < 1:
            raise OptionsError(f"{self.name}: drop = {self.drop}", mend="It is at least 0 and below 1.")

    def trigger(self, text: str, rng: Random) -> str:
        """Leave words out, then plant the inner trigger."""
        words = text.split()
        kept = rng.sample(range(len(words)), min(len(words), max(2, round((1 - self.drop) * len(words)))))
        weaker = " ".join(words[i] for i in sorted(kept))
        return self.wrapped.trigger(weaker if self.wrapped.eligible(weaker) else text, rng)
