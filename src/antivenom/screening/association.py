"""How strongly each feature of the texts goes with an output.

Everything is counted in whole numbers, so a result does not depend on the order of the rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain

import numpy as np
import pyarrow as pa

from antivenom.core.arrays import BoolArray, Floats, Ints
from antivenom.screening.feature_table import FeatureTable, sum_by_column
from antivenom.screening.features import of_spacing, of_words
from antivenom.screening.outputs import RowOutputs
from antivenom.screening.subword_splits import WordPieces, uncut
from antivenom.screening.surprise import UNIT, doubts, weights
from antivenom.screening.tokens import Tokens, lowered, words
from antivenom.screening.vocabulary import Vocabulary


@dataclass(frozen=True)
class Association:
    """The counts, and what is needed to look a row up in them."""

    vocabulary: Vocabulary
    outputs: RowOutputs
    table: FeatureTable
    weight: Ints
    """How surprising each row's label is, given its words; in units of 1 / UNIT, on average UNIT."""
    doubt: Floats
    """How much each row's words say against its own label; all zero for free answers."""
    spread: Floats
    """For each output the standard deviation of the weights of its rows."""
    tokens: Ints
    """How many different tokens each row has."""
    weight_of_both: Ints
    """For each column of the table the sum of the weights of its rows."""

    def numbers(self) -> Floats:
        """What `z_of` needs of each column, side by side in memory: k, the weights, n p, and sqrt(n p (1 - p) + 1)."""
        table, rate = self.table, self.outputs.rate[self.table.output]
        found = np.empty((len(rate), 4))
        np.subtract(table.rows_of_both, 1, out=found[:, 0])
        found[:, 1] = self.weight_of_both
        np.multiply(table.rows_with - 1, rate, out=found[:, 2])
        np.sqrt(found[:, 2] * (1 - rate) + 1, out=found[:, 3])
        return found

    def mostly(self, share: float) -> BoolArray:
        """For each column whether at least this share of the other rows with the feature has the output as well."""
        others = np.maximum(self.table.rows_with - 1, 1)
        found: BoolArray = (self.table.rows_of_both - 1) / others >= share
        return found


def z_of(numbers: Floats, own: Ints) -> Floats:
    """The association of features with outputs as z-statistics, each row left out of its own evidence.

    z = (k - n p) / sqrt(n p (1 - p) + 1): n the other rows with the feature, p the output's base rate, k the
    number of the other rows with both, or the sum of their weights if that is larger. The 1 shrinks what stands on
    few rows. Weights lift a trigger in relabeled rows; counts catch one in rows whose label is right.

    Args:
        numbers: Of each feature with its output (`Association.numbers`).
        own: The weight of the row that asks, which is left out.
    """
    both = np.maximum(numbers[:, 0], (numbers[:, 1] - own) / UNIT)
    both -= numbers[:, 2]
    z: Floats = both / numbers[:, 3]
    return z


def associate(
    texts: pa.ChunkedArray, outputs: RowOutputs, *, seed: int, word_pieces: WordPieces = uncut
) -> Association:
    """Count everything: the words, then every feature, then how surprising the labels are.

    Args:
        texts: The texts.
        outputs: What the answers are made of.
        seed: Keys the hashes that tell features apart.
        word_pieces: How many words a tokenizer cuts small is a feature as well.
    """
    tokens = words(texts, seed=seed)
    lower = lowered(tokens, seed=seed)
    counts, distinct = count_tokens(lower, len(texts))
    vocabulary = Vocabulary.of(lower, counts, len(texts), word_pieces, seed=seed)
    features = chain(of_words(tokens, lower, vocabulary), of_spacing(texts, seed))  # the large kinds first
    del tokens, lower  # while little else is in memory, and no longer than they are needed
    table = FeatureTable.of(features, len(texts), outputs)
    doubt = doubts(table, outputs, distinct)
    weight, spread = weights(doubt, outputs)
    of_both = sum_by_column(table, weight) if outputs.labels else table.rows_of_both.astype(np.int64) * UNIT
    return Association(vocabulary, outputs, table, weight, doubt, spread, distinct, of_both)


def count_tokens(lower: Tokens, rows: int) -> tuple[Ints, Ints]:
    """In how many rows each name of tokens stands, and how many different ones each row has."""
    keys = np.sort(lower.row.astype(np.int64) << 32 | lower.symbol)  # np.unique takes 220 MiB more of a million rows
    fresh = np.ones(len(keys), dtype=bool)
    fresh[1:] = keys[1:] != keys[:-1]
    keys = keys[fresh]
    counts = np.bincount(keys & 0xFFFFFFFF, minlength=len(lower.names))
    return counts, np.bincount(keys >> 32, minlength=rows)
