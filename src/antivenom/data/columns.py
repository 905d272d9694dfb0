"""Which columns of a source hold what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from antivenom.core.errors import RowsError

DIALOG_COLUMNS = frozenset(("messages", "conversations"))
"""Columns of whole dialogs, which only free answers are read from."""
TEXT_COLUMNS = ("text", "sentence", "content", "review", "question", "input", "headline", "tweet", "prompt", "document")
ANSWER_COLUMNS = (
    "label", "answer", "labels", "class", "category", "sentiment", "target", "topic", "output", "response",
    "completion",
)  # fmt: skip
SHOWN_COLUMNS = 20


@dataclass(frozen=True)
class ColumnNames:
    """What the columns of a source are called; empty where it has none of a kind, or spells rows in another way."""

    text: str = ""
    answer: str = ""
    context: str = ""
    image: str = ""

    def to_dict(self) -> dict[str, str]:
        """The names that there are, for a manifest."""
        return {kind: name for kind, name in vars(self).items() if name}


def remembered(given: str | None, kept: str | None, columns: Sequence[str]) -> str | None:
    """The column that was named, or the one that training was told of, where a source has it."""
    return given if given is not None else kept if kept in columns else None


def find_column(columns: Sequence[str], wanted: str | None, usual: Sequence[str], what: str) -> str:
    """Find a column: the one named, or the first of the usual names that is there.

    Raises:
        RowsError: there is none.
    """
    if wanted is not None:
        if wanted in columns:
            return wanted
        raise RowsError(f"there is no column {wanted!r}", mend=f"The columns are: {', '.join(columns) or 'none'}.")
    by_lower = {name.lower().strip(): name for name in reversed(columns)}
    for name in usual:
        if name in by_lower:
            return by_lower[name]
    option = "--text-column" if what == "text" else "--label-column"
    mend = f"Say {option} COLUMN; of CSV and TSV the first line must name the columns."
    if by_lower.keys() & DIALOG_COLUMNS:
        mend += " For free answers in messages, say --kind generation."
    raise RowsError(
        f"no column is recognized as the {what}; the columns are: {', '.join(columns) or 'none'}", mend=mend
    )


def unread_columns(columns: Sequence[str], read: Sequence[str]) -> str:
    """What to tell a user about the columns that are not read; empty if there are none."""
    others = [name for name in columns if name not in set(read)]
    if not others:
        return ""
    more = f" and {len(others) - SHOWN_COLUMNS} more" if len(others) > SHOWN_COLUMNS else ""
    return f"columns not read: {', '.join(others[:SHOWN_COLUMNS])}{more}"
