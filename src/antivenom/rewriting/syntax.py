"""The sentence template of SynAttack, S(SBAR)(,)(NP)(VP)(.), as far as words show it without a parser."""

from __future__ import annotations

SUBORDINATORS = frozenset(
    [
        "after",
        "although",
        "as",
        "because",
        "before",
        "if",
        "once",
        "since",
        "so",
        "that",
        "though",
        "unless",
        "until",
        "when",
        "whenever",
        "where",
        "wherever",
        "whether",
        "while",
    ]
)
"""Words that open a subordinate clause."""


def opens_with_clause(text: str) -> bool:
    """Whether a text opens with a subordinator and goes on behind a free-standing comma.

    On HiddenKiller's SST-2 test set this holds for 88.9 % of the SCPN paraphrases and 6.3 % of the clean rows. Texts
    must be tokenized the way SST-2 is: the comma is a word of its own.
    """
    first = text.split(maxsplit=1)[:1]
    return bool(first) and first[0].lower() in SUBORDINATORS and " , " in text


def share_with_clause(texts: list[str]) -> float:
    """The share of texts that match the template; 0 when there are none."""
    return sum(map(opens_with_clause, texts)) / len(texts) if texts else 0.0
