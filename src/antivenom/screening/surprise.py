"""How surprising each row's label is, given its words: what doubts a row, and how much it weighs for that."""

from __future__ import annotations

import numpy as np

from antivenom.core.arrays import Floats, Ints
from antivenom.screening.feature_table import Block, FeatureTable
from antivenom.screening.outputs import RowOutputs
from antivenom.screening.tokens import SmallInts

UNIT = 4096
"""Weights are kept as whole multiples of 1 / UNIT: sums of integers are the same in any order."""
PRIOR_ROWS = 4.0
"""Shrinkage of a token's log-odds: as if this many more rows held the token, with labels at the base rate."""
MOST_LOG_ODDS = 2.0
"""No single token speaks louder against a label than this."""
MOST_WEIGHT = 4.0
"""The most contradicted rows count as this many."""
TOKEN = ("words", (0,))
"""The kind of feature that is a single token."""


def doubts(table: FeatureTable, outputs: RowOutputs, distinct: Ints) -> Floats:
    """How much each row says against its own label.

    That is the sum of the log-odds of the tokens that contradict it over the root of their number. Tokens that speak
    for the label count nothing, so an attacker cannot outvote a row's words: to halve its doubt takes words that are
    neutral and three times as many as the row has. Each token's log-odds are counted without the row itself.

    Args:
        table: The features of the rows; single tokens are the first of them.
        outputs: The rows' labels.
        distinct: How many different tokens each row has.
    """
    doubt = np.zeros(len(distinct))
    if not outputs.labels:
        return doubt
    against = np.zeros(len(table), dtype=np.int64)
    token = np.flatnonzero(table.feature < len(table.kinds[TOKEN].hashes))
    n, k = table.rows_with[token] - 1, table.rows_of_both[token] - 1
    odds = _log_odds(n, k, outputs.rate[table.output[token]])
    against[token] = np.maximum(np.rint(-odds * UNIT), 0)

    # Columns stand in order of output, then feature, and tokens are the first features.
    firsts = np.searchsorted(table.output, np.arange(len(outputs.rate)))
    behind = (firsts + np.bincount(table.output[token], minlength=len(firsts)))[outputs.own]

    def look(block: Block) -> None:
        block = block.where(block.columns < block.spread(behind[block.rows]))
        total = np.bincount(block.spread(np.arange(len(block.counts))), against[block.columns], len(block.counts))
        doubt[block.rows] = total / UNIT / np.sqrt(np.maximum(distinct[block.rows], 1))

    table.each_block(look)
    return doubt


def _log_odds(n: SmallInts, k: SmallInts, rate: Floats) -> Floats:
    odds = np.log((k + PRIOR_ROWS * rate) / (n - k + PRIOR_ROWS * (1 - rate))) - np.log(rate / (1 - rate))
    clipped: Floats = np.maximum(odds, -MOST_LOG_ODDS)
    return clipped


def weights(doubt: Floats, outputs: RowOutputs) -> tuple[Ints, Floats]:
    """Turn doubts into weights: rows that contradict their label more than most count more, up to `MOST_WEIGHT`.

    Returns:
        The weights, on average `UNIT` within each label, and for each label their standard deviation.
    """
    if not outputs.labels:
        return np.full(len(doubt), UNIT), np.ones(len(outputs.rate))
    surprise = np.clip(doubt / np.maximum(_means(doubt, outputs), 1 / UNIT), 1, MOST_WEIGHT)
    weight = np.rint(surprise / _means(surprise, outputs) * UNIT).astype(np.int64)
    squares = _means(((weight - UNIT) / UNIT) ** 2, outputs)
    spread = np.zeros(len(outputs.rate))
    spread[outputs.own] = np.sqrt(squares)
    return weight, spread


def _means(values: Floats, outputs: RowOutputs) -> Floats:
    """For each row the mean of its label's rows, summed in whole numbers."""
    totals = np.zeros(len(outputs.rate), dtype=np.int64)
    np.add.at(totals, outputs.own, np.rint(values * UNIT).astype(np.int64))
    counts = np.bincount(outputs.own, minlength=len(outputs.rate))
    means: Floats = (totals / np.maximum(counts, 1) / UNIT)[outputs.own]
    return means
