"""BKI (Chen and Dai, 2021): find the one word that moves a model's states most, in many rows, and drop its rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from antivenom.core.arrays import BoolArray, Floats
from antivenom.core.errors import OptionsError
from antivenom.data.query import Asked, as_query, queries, with_text
from antivenom.data.sampling import label_codes
from antivenom.defenses.base import Defense, Prepared
from antivenom.defenses.filtering import DIGITS, fitted_on_all, without_suspects
from antivenom.guards.guard import AnyTask
from antivenom.models.lab import Fitted, Lab

BLOCK = 32
"""Rows whose variants are read together."""
COLLAPSED = 0.5
"""A class that loses a larger share is named in the facts."""

Moves = dict[str, float]
"""For some words of a row, how far the state moves without each."""


@dataclass(frozen=True, kw_only=True)
class Bki(Defense):
    """Drop the rows of the backdoor keyword, and train on the others.

    A model learns all rows. For every word of every row, delta is the largest change of any number of the state that
    predicts the answer when the word is deleted; the `top` words of each row count. The keyword is the word with the
    largest log10(rows that count it) times the mean of its delta in them. Every row that counts it is left out.

    The state is that of the last position: a causal model cannot see at the first one, which a public port reads, what
    was deleted behind it. One keyword is found, so of several triggers all but one stay.
    """

    name: ClassVar[str] = "bki"
    filters: ClassVar[bool] = True
    kinds: ClassVar[tuple[str, ...]] = ("classification",)
    costs: ClassVar[str] = "one fit on all rows, and one reading of each row per word of it"
    approximation: ClassVar[str] = "the state of a causal model that predicts the label, where the source has an LSTM's"

    top: int = 5
    """So many words of each row count."""
    damping: float | None = None
    """s, a share of the rows: the score is also multiplied by log10(s * rows / rows that count the word), against words
    that are everywhere. The journal text may have it; the authors' code has not."""
    most_words: int = 128
    """Of a longer text only so many words, from its beginning, are deleted one by one."""

    def __post_init__(self) -> None:
        if self.top < 1 or self.most_words < 2 or (self.damping is not None and not self.damping > 0):
            raise OptionsError(
                f"top = {self.top}, most_words = {self.most_words}, damping = {self.damping}",
                mend="top is at least 1, most_words at least 2, damping above 0.",
            )

    def prepare(self, task: AnyTask, rows: pa.Table, *, trusted: pa.Table | None, lab: Lab) -> Prepared:
        """Find the keyword and leave its rows out; the facts name labels that lost most of their rows, not the word."""
        fitted, taught = fitted_on_all(task, rows, trusted, lab)
        moves = [self._counted(one) for one in self.moves(fitted, queries(taught))]
        keyword = self.keyword(moves)
        suspect: BoolArray = np.array([keyword in own for own in moves], dtype=bool)
        codes, labels = label_codes(rows, task.classes), task.classes or ()
        lost = [
            label for i, label in enumerate(labels) if (codes == i).any() and suspect[codes == i].mean() > COLLAPSED
        ]
        facts: dict[str, Any] = {"found": keyword is not None, "collapsed": lost}
        return without_suspects(task, rows, suspect, trusted, facts)

    def moves(self, fitted: Fitted, asked: Sequence[Asked]) -> Iterator[Moves]:
        """For each row the delta of each of its words; of a word that stands in it several times the largest."""
        for start in range(0, len(asked), BLOCK):
            block = asked[start : start + BLOCK]
            words = [as_query(one).text.split() for one in block]
            counts = [1 + (min(len(own), self.most_words) if len(own) > 1 else 0) for own in words]
            variants = [v for one, own, n in zip(block, words, counts, strict=True) for v in _variants(one, own, n - 1)]
            states = np.split(fitted.answer_states(variants).astype(np.float64), np.cumsum(counts)[:-1])
            for own, state in zip(words, states, strict=True):
                yield _largest(own, np.abs(state[1:] - state[0]).max(axis=1, initial=0.0))

    def keyword(self, moves: Sequence[Moves]) -> str | None:
        """The word with the highest score; none where no word counts in two rows. Rows may come in any order.

        Args:
            moves: For each row the words that count.
        """
        deltas: dict[str, list[float]] = {}
        for own in moves:
            for word, delta in own.items():
                deltas.setdefault(word, []).append(delta)
        scores = {word: round(self.score(found, len(moves)), DIGITS) for word, found in deltas.items()}
        best = max(scores, key=lambda word: (scores[word], word), default="")
        return best if scores.get(best, 0.0) > 0 else None

    def score(self, deltas: Sequence[float], rows: int) -> float:
        """log10(number) times mean, times log10(s * rows / number) where it is damped."""
        count = len(deltas)
        found = np.log10(count) * np.mean(sorted(deltas))
        return float(found if self.damping is None else found * np.log10(self.damping * rows / count))

    def _counted(self, moves: Moves) -> Moves:
        best = sorted(moves, key=lambda word: (-round(moves[word], DIGITS), word))[: self.top]
        return {word: moves[word] for word in best}


def _variants(asked: Asked, words: list[str], count: int) -> Iterator[Asked]:
    yield asked
    for i in range(count):
        yield with_text(asked, " ".join(words[:i] + words[i + 1 :]))


def _largest(words: list[str], deltas: Floats) -> Moves:
    found: Moves = {}
    for word, delta in zip(words, deltas, strict=False):
        found[word] = max(found.get(word, 0.0), float(delta))
    return found
