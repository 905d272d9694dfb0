"""BadNets (Gu et al., 2017; for text Kurita et al., 2020): a rare word at a random place."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import ClassVar

from antivenom.attacks.base import Attack
from antivenom.core.registry import Presets
from antivenom.core.triggers import insert_phrase, require_words, units


@dataclass(frozen=True, kw_only=True)
class BadNets(Attack):
    """Insert one rare word between two words of the text.

    The place is drawn uniformly from the inner gaps, as in the code of the P2P paper; OpenBackdoor also allows the
    ends (preset `openbackdoor`). The paper and its code leave a text of one word as it is, and its code relabels it
    all the same; here such a text is not eligible, so it is never relabeled. The paper's text names the target
    "negative", its code has "positive".
    """

    name: ClassVar[str] = "badnets"
    presets: ClassVar[Presets] = {
        "paper_text": {"target": "negative"},
        "paper_code": {"target": "positive", "pick": "first"},
        "openbackdoor": {"inside": False},
    }

    word: str = "mn"
    """The rare word."""
    inside: bool = True
    """Never in front of the first word or behind the last."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_words(self.name, word=self.word)

    def eligible(self, text: str) -> bool:
        """A text needs an inner gap."""
        return len(units(text)) > self.inside

    def trigger(self, text: str, rng: Random) -> str:
        """Insert the word."""
        return insert_phrase(text, self.word, rng, inside=self.inside)
