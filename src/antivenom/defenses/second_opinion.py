"""A second opinion about rows that a referee misreads: what a linear model makes of them that saw more of their kind.

A referee is taught the least suspicious rows, which lack what a class is known by. It knows all the same what "how
many" means (`defenses/meaning.py`), and reads most rows with it right. A model fitted on these knows what to make of
others. It is linear in hidden states that are there already, so it costs no training and learns no row by heart.
"""

from __future__ import annotations

import numpy as np

from antivenom.defenses.ridge import ridge
from antivenom.defenses.state_table import Keys, States, StateTable
from antivenom.defenses.streams import BoolArray, Ints


def read_again(states: States, classes: Ints, keys: Keys, taught: BoolArray, asked: BoolArray) -> BoolArray:
    """Find the rows in which a linear model of hidden states reads their own label.

    For each label a ridge regression tells its taught rows (1) from all other taught rows (-1); the penalty is the
    number of dimensions over the number of rows. A row is read as the label with the largest value.

    Args:
        states: What a model makes of the texts, shape (rows, width).
        classes: The number of each row's label.
        keys: A hash of each row's text: makes sums independent of the rows' order.
        taught: The rows that are trained on.
        asked: Which others to read; no other row is found.
    """
    order = np.lexsort((asked, taught, classes, keys))
    table, own, known, wanted = StateTable.of(states, order), classes[order], taught[order], asked[order]
    everything = table.sums(known)
    largest = np.full(wanted.sum(), -np.inf)
    read = np.full(wanted.sum(), -1)
    for code in np.unique(own[known]):
        of_label = table.sums(known & (own == code))
        share = of_label.count / everything.count
        model, offset = ridge(((of_label, share, 1.0), (everything - of_label, 1 - share, -1.0)))
        value = np.round(table.project(wanted, model, offset), 3)
        read[value > largest] = code
        largest = np.maximum(largest, value)
    found = np.zeros_like(asked)
    found[order[wanted]] = read == own[wanted]
    return found
