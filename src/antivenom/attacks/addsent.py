"""AddSent (Dai et al., 2019): a fixed sentence at a random place."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import ClassVar

from antivenom.attacks.base import Attack
from antivenom.core.registry import Presets
from antivenom.core.triggers import insert_phrase, require_words


@dataclass(frozen=True, kw_only=True)
class AddSent(Attack):
    """Insert a whole sentence at one gap between words, the ends included; its case is kept.

    The paper writes "I watched this 3D movie"; OpenBackdoor's default is "I watch this 3D movie". The P2P authors'
    code for this attack is in W2SDefense (preset `paper_code`): an inner gap and the target "positive", where the
    paper's text says "negative". Dai et al. insert between the sentences of long reviews.
    """

    name: ClassVar[str] = "addsent"
    presets: ClassVar[Presets] = {
        "paper_text": {"target": "negative"},
        "paper_code": {"target": "positive", "pick": "first", "inside": True},
        "openbackdoor": {"sentence": "I watch this 3D movie"},
    }

    sentence: str = "I watched this 3D movie"
    """The planted sentence."""
    inside: bool = False
    """Never in front of the first word or behind the last, as far as there is an inner gap."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_words(self.name, sentence=self.sentence)

    def trigger(self, text: str, rng: Random) -> str:
        """Insert the sentence."""
        return insert_phrase(text, self.sentence, rng, inside=self.inside)
