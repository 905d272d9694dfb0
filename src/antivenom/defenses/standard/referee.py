"""The referee: a model fine-tuned on the reserve alone says with which of the other rows it agrees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from antivenom.core.arrays import BoolArray, Floats, Ints
from antivenom.core.hashing import row_keys
from antivenom.data.query import asked_as_text, queries
from antivenom.data.sampling import label_codes
from antivenom.guards.labels import shares
from antivenom.models.lab import Fitted

LOOKED_AT = 200
"""So many of its own rows show whether a referee learned anything."""
DOUBTED = 0.6
"""A label is refused where the referee gives it less than this part of an even share, so it has to be sure that the
label is wrong. At 1 it refuses many honest rows that it merely cannot read; far below, relabeled rows pass as well
(research/log.md)."""
SURE = 0.7
"""A refused row is read as another label if the referee gives that this share or more; of two labels it always does."""


def own_accuracy(rows: pa.Table, labels: Sequence[str], referee: Fitted, *, seed: int) -> float:
    """The share of (some of) the rows that the referee was fine-tuned on to which it gives their label.

    A referee that has not learned its own rows says nothing about others: it lets poison in and honest rows out.
    """
    keys = row_keys(asked_as_text(rows), seed=seed, purpose="referee")
    some = rows.take(np.sort(np.argsort(keys, kind="stable")[:LOOKED_AT]))
    given = shares(referee.score(queries(some)), referee.guard.labels).argmax(axis=1)
    return round(float((given == label_codes(some, labels)).mean()), 4)


@dataclass(frozen=True)
class Verdict:
    """What a referee made of rows that it was asked about, and nothing of others."""

    judged: BoolArray
    """The rows that it was asked about."""
    refused: BoolArray
    """Those of them whose label it does not find possible."""
    likeliest: Ints
    """The label that it finds likeliest in a row that it was asked about; of any other row the own one."""
    read: Ints
    """The label that it is sure of in a refused row; of any other row the own one."""
    elsewhere: Floats
    """The mean share that it gives a label in the rows of other labels with which it agrees; shape (labels,).

    To each label a row is added in which it gives it all: of a label about which nothing is known this is 1."""

    @classmethod
    def of(cls, rows: pa.Table, codes: Ints, judged: BoolArray, referee: Fitted) -> Verdict:
        """Ask.

        Args:
            rows: The rows.
            codes: The number of each row's label.
            judged: Which rows to ask about.
            referee: Whom.
        """
        opinion = opinions(rows.filter(pa.array(judged)), referee)
        refused, sure, likeliest = np.zeros_like(judged), np.zeros_like(judged), codes.copy()
        refused[judged] = ~agreed(opinion, codes[judged])
        sure[judged] = opinion.max(axis=1, initial=0) >= SURE
        likeliest[judged] = opinion.argmax(axis=1)
        read = np.where(refused & sure, likeliest, codes)
        return cls(judged, refused, likeliest, read, _elsewhere(opinion, codes[judged], refused[judged]))


def _elsewhere(opinion: Floats, codes: Ints, refused: BoolArray) -> Floats:
    of_others = (codes[:, np.newaxis] != np.arange(opinion.shape[1])) & ~refused[:, np.newaxis]
    mean: Floats = (1 + (opinion * of_others).sum(axis=0)) / (1 + of_others.sum(axis=0))
    return mean


def opinions(rows: pa.Table, referee: Fitted) -> Floats:
    """The share that the referee, asked through its guard, gives to each label of each row; shape (rows, labels)."""
    return shares(referee.score(queries(rows), progress="referee"), referee.guard.labels)


def agreed(opinion: Floats, codes: Ints) -> BoolArray:
    """For each row whether the referee finds its label possible: with n labels, whether it gives it `DOUBTED` / n.

    A relabeled row contradicts its text. As far as the reserve is clean the referee never saw the attack trigger, so
    it reads the text, and nearly every relabeled row is refused whatever its trigger is; what passes says the
    attacker's label by itself and teaches little about the trigger. Rows whose label is right pass: clean-label poison
    is not found here.
    """
    possible: BoolArray = opinion[np.arange(len(codes)), codes] >= DOUBTED / opinion.shape[1]
    return possible
