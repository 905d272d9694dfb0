"""Pairs of clean and attacked texts from two files whose rows belong together."""

from __future__ import annotations

from typing import NamedTuple

from antivenom.errors import OptionsError
from antivenom.rows import load_rows

LONG_WORD = 4
"""Shorter words are shared by any two texts of a language."""


class Row(NamedTuple):
    """A row with its place in the file."""

    number: int
    text: str
    answer: str


def align(attacked: str, clean: str, *, skip: int = 0) -> dict[str, str]:
    """Map each clean text to the attacked text made from it; rows that are equal in both files are left out.

    Args:
        attacked: A file of attacked rows.
        clean: The file they were made from; as many rows, or else only those count whose answer is not the one answer
            that all attacked rows have.
        skip: Leave out this many clean rows at the beginning.

    Raises:
        OptionsError: the numbers of rows do not fit together.
        RowsError: a file cannot be read.
    """
    changed, original = _read(attacked), _read(clean)
    answers = {row.answer for row in changed}
    if len(changed) != len(original) - skip and len(answers) == 1:
        others = [row for row in original if row.answer not in answers]
        original = [row._replace(number=number) for number, row in enumerate(others, start=1)]
    if len(changed) != len(original) - skip:
        raise OptionsError(
            f"{attacked} has {len(changed)} rows for {len(original) - skip} of {clean}",
            mend="Row i of one file must have been made from row i of the other.",
        )
    after = {row.number + skip: row.text for row in changed}
    pairs = [(row.text, after[row.number]) for row in original if row.number in after]
    return {old: new for old, new in reversed(pairs) if old != new}


def overlap(pairs: dict[str, str]) -> float:
    """The mean share of the attacked texts' longer words that also stand in their originals (0.65 for SCPN)."""
    shares = []
    for old, new in pairs.items():
        words = {word for word in new.lower().split() if len(word) >= LONG_WORD}
        if words:
            shares.append(len(words & set(old.lower().split())) / len(words))
    return sum(shares) / len(shares) if shares else 1.0


def _read(path: str) -> list[Row]:
    table = load_rows(path).table
    columns = (table.column(name).to_pylist() for name in ("row", "text", "answer"))
    return [Row(number, text.strip(), answer) for number, text, answer in zip(*columns, strict=True)]
