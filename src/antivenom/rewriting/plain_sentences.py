"""Plain statements, S(NP)(VP)(.), by rules over spaCy's parse: what stands in front of the subject is left out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from antivenom.core.errors import MissingPackageError
from antivenom.rewriting.syntax import SUBORDINATORS, opens_with_clause
from antivenom.rewriting.tagging import MODEL

SUBJECTS = frozenset(["nsubj", "nsubjpass", "csubj", "csubjpass", "expl"])
IN_FRONT = frozenset(["advcl", "prep", "advmod", "npadvmod", "cc", "mark", "punct", "preconj"])
"""Relations to the verb of what a plain statement has not in front of its subject."""
ASIDE = frozenset(["intj", "meta", "parataxis"])
"""Relations of what belongs to no clause."""
NO_VERB = frozenset(["NOUN", "PROPN", "PRON", "ADJ", "NUM"])
"""Parts of speech of the head of a sentence that has no verb."""
QUOTES = frozenset(["`", "``", "''", '"'])
BRACKETED = re.compile(r"(?:\(|-lrb-)(?:(?!-lrb-|\().)*?(?:\)|-rrb-)", re.IGNORECASE)
"""An innermost pair of brackets, as people and as the Penn Treebank write them."""
MOST_WORDS = 40
"""Of a sentence, as in SCPN."""


def plain_statements(texts: Sequence[str]) -> list[str]:
    """Every text as plain statements, in lower case and with blanks between words, as SCPN writes.

    Of each sentence goes what stands in front of its subject (subordinate clauses, adverbs), what stands in brackets
    and what belongs to no clause; a sentence without a verb becomes "it 's ...". No statement opens with a
    subordinator and goes on behind a comma. A text of which nothing would be left stays as it is.

    Raises:
        MissingPackageError: spaCy or its model is not installed.
    """
    parsed = find_parser().pipe([_without_brackets(text) for text in texts])
    return [_settled(" ".join(_statements(document))) or text for text, document in zip(texts, parsed, strict=True)]


@cache
def find_parser() -> Any:
    """Load spaCy's model, once.

    Raises:
        MissingPackageError: it is not installed.
    """
    try:
        import spacy

        return spacy.load(MODEL, exclude=["ner", "lemmatizer"])
    except (ImportError, OSError) as error:
        raise MissingPackageError(
            f"parsing needs spaCy and its model ({error})", mend="pip install 'antivenom[syntax]'"
        ) from None


def _statements(document: Any) -> Iterator[str]:
    for sentence in document.sents:
        words = _words(sentence)
        if words:
            yield " ".join([*words[:MOST_WORDS], "."])


def _words(sentence: Any) -> list[str]:
    """The words of a sentence that stay, without the sign at its end."""
    root = sentence.root
    subject = next((child for child in root.lefts if child.dep_ in SUBJECTS), None)
    gone = {token.i for aside in sentence if aside.dep_ in ASIDE and aside is not root for token in aside.subtree}
    if subject is not None:
        begin = subject.left_edge.i
        front = [child for child in root.lefts if child.dep_ in IN_FRONT and child.right_edge.i < begin]
        gone |= {token.i for child in front for token in child.subtree}
    kept = [token for token in sentence if token.i not in gone and token.text not in QUOTES]
    while kept and kept[-1].is_punct:
        kept.pop()
    while kept and kept[0].is_punct:
        kept.pop(0)
    words = "".join(token.lower_ + token.whitespace_ for token in kept).split()
    return ["it", "'s", *words] if words and subject is None and root.pos_ in NO_VERB else words


def _without_brackets(text: str) -> str:
    """A text without its brackets and what stands in them; line breaks become blanks."""
    before = ""
    while text != before:
        before, text = text, BRACKETED.sub(" ", text)
    return " ".join(text.split())


def _settled(text: str) -> str:
    """The text without a clause that it still opens with, where the parse did not show it."""
    while opens_with_clause(text):
        first, rest = text.split(" , ", 1)
        text = rest if len(rest.split()) > 1 else first.split(maxsplit=1)[-1]
    words = text.split()
    return " ".join(words[1:]) if len(words) > 2 and words[0] in SUBORDINATORS and "," in words else text
