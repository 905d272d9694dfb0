"""Count the features of all texts, and how surprising each row's label is: what fills an `Association`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa

from antivenom.core.arrays import BoolArray, Floats, Hashes, Ints
from antivenom.screening.association import UNIT, Association, Table, entries, pair_places, pieces, table_size
from antivenom.screening.buckets import Places
from antivenom.screening.outputs import Outputs
from antivenom.screening.subword_splits import WordPieces, is_fragmented, uncut
from antivenom.screening.tokens import Stream, mix, renamed, words
from antivenom.screening.vocabulary import LETTER_PLACES, Vocabulary, letter_runs

PRIOR_ROWS = 4.0
"""Shrinkage of a token's log-odds: as if this many more rows held the token, with labels at the base rate."""
MOST_LOG_ODDS = 2.0
"""No single token speaks louder against a label than this."""
MOST_WEIGHT = 4.0
"""The most contradicted rows count as this many."""


def associate(texts: pa.ChunkedArray, outputs: Outputs, *, salt: int, word_pieces: WordPieces = uncut) -> Association:
    """Count everything: one walk over the texts for the words, one for the doubts, one for the features.

    How many words a tokenizer cuts small (`word_pieces`) is a feature as well.
    """
    vocabulary, by_label = _count_words(texts, outputs, salt, word_pieces)
    doubt, tokens = _doubts(texts, outputs, vocabulary, by_label)
    weight, spread = _weights(doubt, outputs)
    size = table_size(len(texts), len(outputs.rate) if outputs.labels else 1)
    places, both = Places(size, salt), size * len(outputs.rate) if outputs.labels else size
    tables = [np.zeros(length, dtype=np.int64) for length in (size, both, both)]
    for rows, at in entries(texts, vocabulary, places):
        np.add.at(tables[0], at, 1)
        which, output = outputs.join(rows)
        pairs = pair_places(at[which], output, outputs, places)
        np.add.at(tables[1], pairs, 1)
        np.add.at(tables[2], pairs, weight[rows[which]])
    return Association(vocabulary, outputs, weight, doubt, spread, tokens, places, *tables)


def lowered(texts: pa.ChunkedArray) -> Stream:
    """The words of texts in lower case."""
    stream = words(texts)
    return renamed(stream, [name.lower() for name in stream.names])


def _count_words(
    texts: pa.ChunkedArray, outputs: Outputs, salt: int, word_pieces: WordPieces
) -> tuple[Vocabulary, Table]:
    """In how many rows each token stands, and each token with each label."""
    size = table_size(len(texts))
    places = Places(size, salt)
    counts, both = np.zeros(size, dtype=np.int32), np.zeros(size, dtype=np.int64)
    fragmented = np.zeros(size, dtype=bool)
    for first, piece in pieces(texts):
        stream = lowered(piece)
        fragmented[places.of(stream.hashes[is_fragmented(stream.names, word_pieces)[stream.symbol]])] = True
        rows, hashes = _tokens_of_rows(stream)
        np.add.at(counts, places.of(hashes), 1)
        if outputs.labels:
            label = outputs.own[rows + first]
            np.add.at(both, places.of(mix(hashes, outputs.hashes[label])), 1)
    vocabulary = Vocabulary(
        len(texts), places, counts, known_runs=np.zeros(LETTER_PLACES, dtype=bool), fragmented=fragmented
    )
    return replace(vocabulary, known_runs=_known_runs(texts, vocabulary)), both


def _known_runs(texts: pa.ChunkedArray, vocabulary: Vocabulary) -> BoolArray:
    """Which letter runs the tokens have that are not uncommon."""
    known = np.zeros(LETTER_PLACES, dtype=bool)
    for _, piece in pieces(texts):
        lower = lowered(piece)
        symbols = np.unique(lower.symbol[~vocabulary.uncommon(lower)])
        _, hashes = letter_runs([lower.names[i] for i in symbols])
        known[vocabulary.run_places.of(hashes)] = True
    return known


def _tokens_of_rows(stream: Stream) -> tuple[Ints, Hashes]:
    """Each token of each row once."""
    _, where = np.unique(stream.row * len(stream.names) + stream.symbol, return_index=True)
    return stream.row[where], stream.hashes[where]


def _doubts(texts: pa.ChunkedArray, outputs: Outputs, vocabulary: Vocabulary, both: Table) -> tuple[Floats, Ints]:
    """How much each row says against its own label, and how many different tokens it has.

    That is the sum of the log-odds of the tokens that contradict it over the root of their number. Tokens that speak
    for the label count nothing, so an attacker cannot outvote a row's words: to halve its doubt takes words that are
    neutral and three times as many as the row has. Each token's log-odds are counted without the row itself.
    """
    doubt = np.zeros(len(texts))
    tokens = np.zeros(len(texts), dtype=np.int64)
    for first, piece in pieces(texts):
        rows, hashes = _tokens_of_rows(lowered(piece))
        count = np.bincount(rows, minlength=len(piece))
        tokens[first : first + len(piece)] = count
        if not outputs.labels:
            continue
        label = outputs.own[rows + first]
        n = vocabulary.counts[vocabulary.places.of(hashes)].astype(np.int64) - 1
        k = both[vocabulary.places.of(mix(hashes, outputs.hashes[label]))] - 1
        against = np.rint(-_log_odds(n, np.minimum(k, n), outputs.rate[label]) * UNIT)
        total = np.bincount(rows, np.maximum(against, 0), len(piece)) / UNIT
        doubt[first : first + len(piece)] = total / np.sqrt(count)
    return doubt, tokens


def _log_odds(n: Ints, k: Ints, rate: Floats) -> Floats:
    odds = np.log((k + PRIOR_ROWS * rate) / (n - k + PRIOR_ROWS * (1 - rate))) - np.log(rate / (1 - rate))
    clipped: Floats = np.maximum(odds, -MOST_LOG_ODDS)
    return clipped


def _weights(doubt: Floats, outputs: Outputs) -> tuple[Ints, Floats]:
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


def _means(values: Floats, outputs: Outputs) -> Floats:
    """For each row the mean of its label's rows, summed in whole numbers."""
    totals = np.zeros(len(outputs.rate), dtype=np.int64)
    np.add.at(totals, outputs.own, np.rint(values * UNIT).astype(np.int64))
    counts = np.bincount(outputs.own, minlength=len(outputs.rate))
    means: Floats = (totals / np.maximum(counts, 1) / UNIT)[outputs.own]
    return means
