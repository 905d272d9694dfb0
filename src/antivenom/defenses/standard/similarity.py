"""How much rows read like what a referee refused, beyond what their label and their meaning explain.

Refused rows of a class are poisoned rows, which have a trigger, and honest ones that are hard to read. Both contradict
their label, so next to rows of the other classes, to which their texts seem to belong, the hard ones are nothing
special: only the trigger sets rows apart from these and from the accepted rows of their own class at once. A linear
model of hidden states looks for that difference. It needs no word in common: a turn of phrase, a register, foreign
words show in the states of a language model though no two rows share them.
"""

from __future__ import annotations

import numpy as np

from antivenom.core.arrays import BoolArray, Floats, Hashes, Ints, States
from antivenom.defenses.standard.ridge import Sums, ridge
from antivenom.defenses.standard.state_table import StateTable, drawn

FOLDS = 5
"""No row is judged by a model that was fitted on it or on a row of the same text."""
TOGETHER = 8
"""So many classes are asked about in one pass over the states."""
WRONG, OTHERS, RIGHT = 0.5, 0.25, 0.25
"""The weights of a class's refused rows, of accepted rows of other classes, and of its own accepted rows."""


def similarity(states: States, classes: Ints, keys: Hashes, refused: BoolArray, accepted: BoolArray) -> Floats:
    """How far each row lies on the side of the refused rows of its class, in standard deviations.

    For each class a ridge regression tells its refused rows (half of the weight) from accepted rows of the other
    classes and of its own (a quarter each); the penalty is the number of dimensions over the number of rows. It is
    fitted five times without a fifth of the texts, which it then judges. Zero is the mean and one the standard
    deviation over the accepted rows of the other classes. Where none of a class is refused, all its rows get 0.

    Args:
        states: What a model makes of the texts, shape (rows, width).
        classes: The class of each row.
        keys: A hash of each row's text, keyed by the secret seed: says which fifth it is in, and which rows are fitted
            on where there are many (`drawn`). Who can compute it puts all of his rows into one fifth, which is
            then judged by models that never saw any.
        refused: Rows whose label the referee refused.
        accepted: Rows that it was taught or agrees with; rows that are neither are judged alone.
    """
    order = np.lexsort((accepted, refused, classes, keys))
    table, classes = StateTable.of(states, order), classes[order]
    fold, wrong, right = (keys[order] % np.uint64(FOLDS)).astype(np.int64), refused[order], accepted[order]
    fitted = drawn(classes, right)
    folds = [fold == number for number in range(FOLDS)]
    all_but = _all_but_one(table.sums_of_each(fitted & one for one in folds))
    told = np.unique(classes[wrong])
    found = np.zeros(len(order))
    for first in range(0, len(told), TOGETHER):
        some = told[first : first + TOGETHER]
        models = []
        for code in some:
            of_wrong, of_right = drawn(classes, wrong & (classes == code)), fitted & (classes == code)
            parts = table.sums_of_each(rows & one for rows in (of_wrong, of_right) for one in folds)
            models.append(_models(parts[:FOLDS], all_but, parts[FOLDS:]))
        scores = np.empty((len(some), len(order)))
        for number, one in enumerate(folds):
            scores[:, one] = table.project(one, [of_folds[number] for of_folds in models])
        for code, said in zip(some, scores, strict=True):
            own = classes == code
            others = said[right & ~own]
            if len(others):
                found[own] = (said[own] - others.mean()) / max(others.std(), 1e-9)
    result = np.empty_like(found)
    result[order] = np.round(found, 3)
    return result


def _models(wrong: list[Sums], all_but: list[Sums], right: list[Sums]) -> list[tuple[Floats, float]]:
    """For each fold the weights and the offset of a model that was fitted on the others."""
    return [
        ridge(((bad, WRONG, 1.0), (all_right - own, OTHERS, -1.0), (own, RIGHT, -1.0)))
        for bad, all_right, own in zip(_all_but_one(wrong), all_but, _all_but_one(right), strict=True)
    ]


def _all_but_one(parts: list[Sums]) -> list[Sums]:
    """For each fold the sums of all others."""
    return [Sums.of_all(part for place, part in enumerate(parts) if place != number) for number in range(len(parts))]
