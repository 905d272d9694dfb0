"""A second opinion about rows that a referee refused or that look like those: a linear model of hidden states.

A referee is taught the least suspicious rows. Where it errs, it errs about a whole kind of honest rows: it refuses many
of them, and the second screen then finds the rest of the kind suspect. A model fitted on all rows that joined saw more
of their kind; it is linear in hidden states that are there already, so it costs no training and learns no row by heart;
and it was shown no suspect row, so it does not know what these have in common. A relabeled row contradicts its text to
both models, many an honest one only to the referee.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from antivenom.core.arrays import BoolArray, Floats, Hashes, Ints, States
from antivenom.defenses.standard.ridge import ridge
from antivenom.defenses.standard.similarity import TOGETHER
from antivenom.defenses.standard.state_table import StateTable, drawn

SURE = 0.3
"""A row that looks like refused ones comes back only where its label leads by so much. One in two honest ones does, and
one in eleven of the attacker's; at 0, three in four and one in four (research/log.md)."""


@dataclass(frozen=True)
class SecondOpinion:
    """What a linear model reads in rows that it was asked about, and nothing of others."""

    read: Ints
    """The label that it reads; of other rows -1."""
    lead: Floats
    """By how much it says a row's own label louder than any other: 1 for what it was taught, -1 for the opposite, below
    0 where it reads another label; of other rows minus infinity."""

    @classmethod
    def of(cls, states: States, classes: Ints, keys: Hashes, *, taught: BoolArray, asked: BoolArray) -> SecondOpinion:
        """Fit, and ask.

        For each label a ridge regression tells its taught rows (1) from all other taught rows (-1); the penalty is the
        number of dimensions over the number of rows. A row is read as the label with the largest value, and a label
        leads by half of what its value is above the largest of the others.

        Args:
            states: What a model makes of the texts, shape (rows, width).
            classes: The number of each row's label.
            keys: A hash of each row's text, keyed by the secret seed: makes sums independent of the rows' order, and
                says which rows are learned from where there are many (`drawn`).
            taught: The rows to learn from.
            asked: Which others to read.
        """
        order = np.lexsort((asked, taught, classes, keys))
        table, own, known, wanted = StateTable.of(states, order), classes[order], taught[order], asked[order]
        rows = order[wanted]
        fitted = drawn(own, known)
        everything, shares = table.sums(fitted), (np.bincount(own[known]) / max(int(known.sum()), 1)).tolist()
        read, lead = np.full(len(classes), -1), np.full(len(classes), -np.inf)
        largest, of_own, of_others = (np.full(len(rows), -np.inf) for _ in range(3))
        codes = np.unique(own[known])
        for first in range(0, len(codes), TOGETHER):
            some = codes[first : first + TOGETHER]
            sums = zip(some, table.sums_of_each(fitted & (own == code) for code in some), strict=True)
            models = [
                ridge(((of_label, shares[code], 1.0), (everything - of_label, 1 - shares[code], -1.0)))
                for code, of_label in sums
            ]
            for code, said in zip(some, table.project(wanted, models), strict=True):
                value = np.round(said, 3)
                read[rows[value > largest]] = code
                largest = np.maximum(largest, value)
                of_own = np.where(classes[rows] == code, value, of_own)
                of_others = np.where(classes[rows] == code, of_others, np.maximum(of_others, value))
        several = np.isfinite(of_own) & np.isfinite(of_others)
        lead[rows[several]] = (of_own[several] - of_others[several]) / 2
        return cls(read, lead)
