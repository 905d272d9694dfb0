"""What an answer is made of: its label, or, for free text, the parts that many answers share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from antivenom.core.arrays import BoolArray, Floats, Hashes, Ints
from antivenom.core.hashing import row_keys
from antivenom.screening.features import Grams, grams
from antivenom.screening.tokens import END, START, SmallInts, Tokens, words

LEAST_ROWS = 4
"""A part of free answers that fewer rows share teaches no backdoor and is not looked at."""
LEAST_SHARE = 0.001
MOST_SHARE = 0.5
"""A part that most answers share ("The answer is") says nothing about any of them."""


@dataclass(frozen=True)
class RowOutputs:
    """Which outputs the rows have: one label each, or any number of parts of a free answer."""

    labels: bool
    """Whether the answers are labels."""
    names: list[str]
    rate: Floats
    """The share of rows that have each output, strictly between 0 and 1."""
    own: Ints
    """The label of each row; for free answers all zero."""
    starts: Ints
    """Where the outputs of each row begin in `flat`; one more than there are rows."""
    flat: Ints

    def count_of_each(self) -> Ints:
        """How many outputs each row has; one where they are labels."""
        return np.diff(self.starts)

    def rows_of_each(self) -> tuple[Ints, Ints]:
        """The rows that have each output: where those of each output begin, and the rows."""
        order = np.argsort(self.flat, kind="stable")
        rows = np.repeat(np.arange(len(self.own)), self.count_of_each())[order]
        return np.searchsorted(self.flat[order], np.arange(len(self.names) + 1)), rows


def label_outputs(codes: Ints, labels: Sequence[str]) -> RowOutputs:
    """The outputs of labeled rows."""
    counts = np.bincount(codes, minlength=len(labels))
    rate = np.clip(counts / max(len(codes), 1), 1e-9, 1 - 1e-9)
    return RowOutputs(True, list(labels), rate, codes, np.arange(len(codes) + 1), codes)


def free_outputs(answers: pa.ChunkedArray, *, seed: int) -> RowOutputs:
    """The outputs of free answers: the whole answer, its first and its last one to three tokens, where shared.

    Args:
        answers: The answers.
        seed: Keys the hashes that tell parts apart.
    """
    count = len(answers)
    parts = list(_parts(answers, seed))
    rows, hashes = (np.concatenate([getattr(part, name) for part in parts]) for name in ("row", "hashes"))
    once = _first_of_each(rows, hashes)
    rows = rows[once]
    _, first, code, counts = np.unique(hashes[once], return_index=True, return_inverse=True, return_counts=True)
    shared = (counts >= max(LEAST_ROWS, LEAST_SHARE * count)) & (counts <= MOST_SHARE * count)
    keep = shared[code]
    order = np.argsort(rows[keep], kind="stable")
    number = np.cumsum(shared) - 1
    flat = number[code[keep]][order]
    starts = np.searchsorted(rows[keep][order], np.arange(count + 1))
    names = [_spell(parts, int(once[i])) for i in first[shared]]
    return RowOutputs(False, names, counts[shared] / count, np.zeros(count, np.int64), starts, flat)


def _first_of_each(rows: Ints, hashes: Hashes) -> Ints:
    """Where each row has each part for the first time: an answer of one token begins and ends with the same one."""
    order = np.lexsort((hashes, rows))
    fresh = np.ones(len(order), dtype=bool)
    fresh[1:] = (rows[order][1:] != rows[order][:-1]) | (hashes[order][1:] != hashes[order][:-1])
    return np.sort(order[fresh])


@dataclass(frozen=True)
class _Part:
    """One kind of part of the answers: which rows have one, its hash, and how to write it."""

    row: Ints
    hashes: Hashes
    spell: Callable[[int], str]


def _parts(answers: pa.ChunkedArray, seed: int) -> Iterator[_Part]:
    everyone = np.arange(len(answers))
    yield _Part(
        everyone, row_keys(answers, seed=seed, purpose="answer"), lambda i: f"answer {answers[i].as_py()[:80]!r}"
    )
    tokens = words(pc.utf8_lower(answers), seed=seed)
    for n in (1, 2, 3):
        found = grams("answer", tokens, tuple(range(n + 1)), seed=seed)
        at_edge = {START: found.start, END: found.start + n}
        for edge, position in at_edge.items():
            keep = np.flatnonzero(_is(tokens, position, edge))
            yield _Part(found.row[keep], found.hashes[keep], partial(_spell_edge, found, keep))


def _is(tokens: Tokens, position: SmallInts, name: str) -> BoolArray:
    found: BoolArray = tokens.symbol[position] == (tokens.names.index(name) if name in tokens.names else -1)
    return found


def _spell_edge(found: Grams, keep: Ints, index: int) -> str:
    return f"answer with {found.spell(int(keep[index]))!r}"


def _spell(parts: list[_Part], index: int) -> str:
    """Write the part at a position of all parts laid end to end."""
    for part in parts:
        if index < len(part.row):
            return part.spell(index)
        index -= len(part.row)
    raise IndexError(index)
