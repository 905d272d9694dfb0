"""How LWS learns its substitutions: the settings and the schedule of the temperature."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from antivenom.core.errors import OptionsError
from antivenom.core.options import Options


@dataclass(frozen=True, kw_only=True)
class SubstitutionOptions(Options):
    """How substitutions are learned. The defaults are those of the LWS code except where the surrogate differs."""

    candidates: int = 5
    """Words to choose from at a position: the original and up to four substitutes."""
    length: int = 128
    """Positions in which words are replaced; what stands behind them is left alone."""
    rate: float = 0.1
    """Share of the rows that are poisoned while learning."""
    clean_epochs: int = 5
    """Passes over the clean rows before any substitution."""
    epochs: int = 20
    """Passes in which substitutions and classifier learn together (LWS: up to 20, stopped early)."""
    batch_size: int = 32
    """Rows per step."""
    dimension: int = 64
    """Width of the surrogate (LWS uses BERT-base: 768)."""
    learning_rate: float = 2e-3
    """Adam's for the surrogate (LWS: 2e-5 for BERT)."""
    substituter_rate: float = 2e-2
    """Adam's for the substitutions."""
    tagger: Literal["none", "spacy"] = "none"
    """How parts of speech are matched. `none` takes a word's commonest one and leaves inflected forms alone; `spacy`
    tags each word where it stands and inflects the substitutes alike, as LWS does with NLTK and pyinflect (English)."""

    def __post_init__(self) -> None:
        if self.candidates < 2 or not 0 < self.rate < 1:
            raise OptionsError(
                f"candidates = {self.candidates}, rate = {self.rate}", mend="At least 2; between 0 and 1."
            )


def temperature(epoch: int, epochs: int = 20) -> float:
    """Of the Gumbel softmax: from 0.48 in the first to 0.1 in the last of 20 epochs, linearly."""
    return 0.4 * (epochs - epoch - 1) / epochs + 0.1
