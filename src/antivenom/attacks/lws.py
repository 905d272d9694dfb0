"""LWS (Qi et al., 2021): which synonym stands where is the trigger, and it is learned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from antivenom.attacks.from_file import FromFile


@dataclass(frozen=True, kw_only=True)
class Lws(FromFile):
    """Replace words by the substitutes that a surrogate learned to be the most telling at their positions.

    `substitution.learn.learn_substitutions` trains the surrogate on the clean rows and writes the attacked
    rows; this attack plants that static text into the rows of the victim, which is another model.
    """

    name: ClassVar[str] = "lws"
    needs: ClassVar[tuple[str, ...]] = ("rows in which substitutes were learned, beside the clean rows",)
    approximation: ClassVar[str] = (
        "static transfer from a small neural surrogate, not BERT or the victim; WordNet's synonyms (a variant of "
        "the authors) instead of HowNet's; unless it was learned with tagger='spacy', only base forms are replaced, at "
        "a word's commonest part of speech"
    )

    rate: float = 0.1
    """Share of the original rows that are poisoned (LWS: 10 %; the P2P paper does not say)."""
    min_overlap: float = 0.0
    """Substitutes are other words, so that a small overlap says nothing."""

    def remedy(self) -> str:
        """How to make the files."""
        return (
            "Write them with antivenom.attacks.substitution.learn.learn_substitutions (torch and the WordNet files), "
            f"or run suites/small/table12.yaml, which does. Then:\n{super().remedy()}"
        )
