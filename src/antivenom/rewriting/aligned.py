"""Pairs of clean and attacked texts from two files whose rows belong together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import pyarrow as pa

from antivenom.core.errors import OptionsError
from antivenom.data.dialogs import iterate_queries, load_dialogs
from antivenom.data.query import as_query
from antivenom.data.rows import load_rows

LONG_WORD = 4
"""Shorter words are shared by any two texts of a language."""


class AlignedRow(NamedTuple):
    """A row with its place in the file."""

    number: int
    text: str
    answer: str


Reader = Callable[[str], list[AlignedRow]]


def align(attacked: str, clean: str, *, skip: int = 0, read: Reader | None = None) -> dict[str, AlignedRow]:
    """Map each clean text to the attacked row made from it; rows whose texts are equal in both files are left out.

    Args:
        attacked: A file of attacked rows.
        clean: The file they were made from; as many rows, or else only those count whose answer is not the one answer
            that all attacked rows have.
        skip: Leave out this many clean rows at the beginning.
        read: Reads a file; `read_labeled` unless another is named.

    Raises:
        OptionsError: the numbers of rows do not fit together.
        RowsError: a file cannot be read.
    """
    read = read or read_labeled
    changed, original = read(attacked), read(clean)
    answers = {row.answer for row in changed}
    if len(changed) != len(original) - skip and len(answers) == 1:
        others = [row for row in original if row.answer not in answers]
        original = [row._replace(number=number) for number, row in enumerate(others, start=1)]
    if len(changed) != len(original) - skip:
        raise OptionsError(
            f"{attacked} has {len(changed)} rows for {len(original) - skip} of {clean}",
            mend="Row i of one file must have been made from row i of the other.",
        )
    after = {row.number + skip: row for row in changed}
    pairs = [(row.text, after[row.number]) for row in original if row.number in after]
    return {old: new for old, new in reversed(pairs) if old != new.text}


def overlap(pairs: Mapping[str, str]) -> float:
    """The mean share of the attacked texts' longer words that also stand in their originals (0.65 for SCPN)."""
    shares = [share for share in (shared_words(old, new) for old, new in pairs.items()) if share is not None]
    return sum(shares) / len(shares) if shares else 1.0


def shared_words(old: str, new: str) -> float | None:
    """The share of the longer words of `new` that also stand in `old`; none where it has no longer word."""
    words = {word for word in new.lower().split() if len(word) >= LONG_WORD}
    return len(words & set(old.lower().split())) / len(words) if words else None


def read_labeled(path: str) -> list[AlignedRow]:
    """Rows with labels."""
    return _rows(load_rows(path).table)


def read_dialogs(path: str) -> list[AlignedRow]:
    """Rows with free answers, in any shape of instruction data."""
    return _rows(load_dialogs(path).table)


def read_questions(path: str) -> list[AlignedRow]:
    """What the rows of instruction data ask; their answers need not be there and are left out."""
    return [
        AlignedRow(number, as_query(asked).text.strip(), "")
        for number, asked in enumerate(iterate_queries(path), start=1)
    ]


def _rows(table: pa.Table) -> list[AlignedRow]:
    columns = (table.column(name).to_pylist() for name in ("row", "text", "answer"))
    return [AlignedRow(number, text.strip(), answer) for number, text, answer in zip(*columns, strict=True)]
