"""How strongly each feature of the texts goes with an output, counted in bounded memory.

Everything is counted in tables of fixed size (a hashed feature, or a pair of feature and output, has one place), and in
whole numbers, so a result does not depend on the order of the rows or on how they are cut into pieces.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from antivenom.defenses.features import every_kind
from antivenom.defenses.fragments import WordPieces, cut_small, uncut
from antivenom.defenses.outputs import Outputs
from antivenom.defenses.streams import BoolArray, Floats, Hashes, Ints, Stream, bucket, mix, renamed, words
from antivenom.defenses.vocabulary import LETTER_PLACES, Vocabulary, letter_runs

PIECE_BYTES = 2_000_000
"""Texts are worked on in pieces of about this size, which bounds the memory."""
PRIOR_ROWS = 4.0
"""Shrinkage of a token's log-odds: as if this many more rows held the token, with labels at the base rate."""
MOST_LOG_ODDS = 2.0
"""No single token speaks louder against a label than this."""
MOST_WEIGHT = 4.0
"""The most contradicted rows count as this many."""
UNIT = 4096
"""Weights are kept as whole multiples of 1 / UNIT: sums of integers are the same in any order."""

Table = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Association:
    """The counted tables, and what is needed to look a row up in them."""

    vocabulary: Vocabulary
    outputs: Outputs
    weight: Ints
    """How surprising each row's label is, given its words; in units of 1 / UNIT, on average UNIT."""
    doubt: Floats
    """How much each row's words say against its own label; all zero for free answers."""
    spread: Floats
    """For each output the standard deviation of the weights of its rows."""
    tokens: Ints
    """How many different tokens each row has."""
    rows_with: Table
    """By bucket of a feature."""
    rows_of_both: Table
    """By bucket of a pair of feature and output."""
    weight_of_both: Table

    def z(self, places: Ints, pairs: Ints, own: Ints, output: Ints) -> Floats:
        """The association of features with outputs as z-statistics, each row left out of its own evidence.

        z = (k - n p) / sqrt(n p (1 - p) + 1): n the other rows with the feature, p the output's base rate, k the
        number of the other rows with both, or the sum of their weights if that is larger. The 1 shrinks what stands on
        few rows. Weights lift a trigger in relabelled rows; counts catch one in rows whose label is right.

        Args:
            places: Bucket of each feature.
            pairs: Bucket of each pair.
            own: The weight of the row that asks, which is left out.
            output: The output of each pair.
        """
        rate = self.outputs.rate[output]
        n = self.rows_with[places] - 1
        plain = self.rows_of_both[pairs] - 1
        both = np.maximum(plain, (self.weight_of_both[pairs] - own) / UNIT)
        z: Floats = (both - n * rate) / np.sqrt(n * rate * (1 - rate) + 1)
        return z

    def share(self, places: Ints, pairs: Ints) -> Floats:
        """Of the other rows with each feature the share that has the output as well.

        Args:
            places: Bucket of each feature.
            pairs: Bucket of each pair of feature and output.
        """
        share: Floats = (self.rows_of_both[pairs] - 1) / np.maximum(self.rows_with[places] - 1, 1)
        return share


def associate(texts: pa.ChunkedArray, outputs: Outputs, word_pieces: WordPieces = uncut) -> Association:
    """Count everything: one walk over the texts for the words, one for the doubts, one for the features.

    How many words a tokenizer cuts small (`word_pieces`) is a feature as well.
    """
    vocabulary, by_label = _count_words(texts, outputs, word_pieces)
    doubt, tokens = _doubts(texts, outputs, vocabulary, by_label)
    weight, spread = _weights(doubt, outputs)
    size = table_size(len(texts), len(outputs.rate) if outputs.labels else 1)
    both = size * len(outputs.rate) if outputs.labels else size
    tables = [np.zeros(places, dtype=np.int64) for places in (size, both, both)]
    for rows, places in entries(texts, vocabulary, size):
        np.add.at(tables[0], places, 1)
        which, output = outputs.join(rows)
        pairs = pair_places(places[which], output, outputs, size)
        np.add.at(tables[1], pairs, 1)
        np.add.at(tables[2], pairs, weight[rows[which]])
    return Association(vocabulary, outputs, weight, doubt, spread, tokens, *tables)


def table_size(rows: int, outputs: int = 1) -> int:
    """Places in a table of features: a power of two, about 512 for each row, at most 16 million for all outputs."""
    wanted = np.ceil(np.log2(max(rows, 1) * 512))
    return 1 << int(max(min(wanted, 24 - np.ceil(np.log2(outputs))), 16))


def pieces(texts: pa.ChunkedArray) -> Iterator[tuple[int, pa.ChunkedArray]]:
    """Cut a column into pieces of about `PIECE_BYTES`, each with the number of its first row."""
    ends = np.cumsum(pc.binary_length(texts).to_numpy().astype(np.int64) + 1) // PIECE_BYTES
    cuts = np.flatnonzero(np.diff(ends)) + 1
    for first, last in zip([0, *cuts], [*cuts, len(texts)], strict=True):
        if last > first:
            yield int(first), texts.slice(int(first), int(last - first))


def lowered(texts: pa.ChunkedArray) -> Stream:
    """The words of texts in lower case."""
    stream = words(texts)
    return renamed(stream, [name.lower() for name in stream.names])


def entries(texts: pa.ChunkedArray, vocabulary: Vocabulary, size: int) -> Iterator[tuple[Ints, Ints]]:
    """For each piece the features of its rows, each once a row: the row, and the place of the feature."""
    for first, piece in pieces(texts):
        found = [
            (grams.row.astype(np.uint64) << np.uint64(32)) | bucket(grams.hashes, size).astype(np.uint64)
            for grams in every_kind(piece, vocabulary)
        ]
        # Sorting and comparing neighbors is several times faster here than np.unique, which hashes.
        keys = np.sort(np.concatenate(found))
        keys = keys[np.concatenate([[True], keys[1:] != keys[:-1]])[: len(keys)]]
        yield (keys >> np.uint64(32)).astype(np.int64) + first, (keys & np.uint64(0xFFFFFFFF)).astype(np.int64)


def pair_places(places: Ints, output: Ints, outputs: Outputs, size: int) -> Ints:
    """The place of each pair of feature and output.

    Labels have a place each beside the feature, so that features which share a place by chance share all of its places
    in proportion. The parts of free answers are too many for that.
    """
    if outputs.labels:
        return places * len(outputs.rate) + output
    return bucket(mix(places.astype(np.uint64), outputs.hashes[output]), size)


def _count_words(texts: pa.ChunkedArray, outputs: Outputs, word_pieces: WordPieces) -> tuple[Vocabulary, Table]:
    """In how many rows each token stands, and each token with each label."""
    size = table_size(len(texts))
    counts, both = np.zeros(size, dtype=np.int32), np.zeros(size, dtype=np.int64)
    small = np.zeros(size, dtype=bool)
    for first, piece in pieces(texts):
        stream = lowered(piece)
        small[bucket(stream.hashes[cut_small(stream.names, word_pieces)[stream.symbol]], size)] = True
        rows, hashes = _tokens_of_rows(stream)
        np.add.at(counts, bucket(hashes, size), 1)
        if outputs.labels:
            label = outputs.own[rows + first]
            np.add.at(both, bucket(mix(hashes, outputs.hashes[label]), size), 1)
    vocabulary = Vocabulary(len(texts), counts, known_runs=np.zeros(LETTER_PLACES, dtype=bool), cut_small=small)
    return replace(vocabulary, known_runs=_known_runs(texts, vocabulary)), both


def _known_runs(texts: pa.ChunkedArray, vocabulary: Vocabulary) -> BoolArray:
    """Which letter runs the tokens have that are not uncommon."""
    known = np.zeros(LETTER_PLACES, dtype=bool)
    for _, piece in pieces(texts):
        lower = lowered(piece)
        symbols = np.unique(lower.symbol[~vocabulary.uncommon(lower)])
        _, hashes = letter_runs([lower.names[i] for i in symbols])
        known[bucket(hashes, LETTER_PLACES)] = True
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
        n = vocabulary.counts[bucket(hashes, len(vocabulary.counts))].astype(np.int64) - 1
        k = both[bucket(mix(hashes, outputs.hashes[label]), len(both))] - 1
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
