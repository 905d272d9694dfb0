"""How strongly each feature of the texts goes with an output, counted in bounded memory.

Everything is counted in tables of fixed size (a hashed feature, or a pair of feature and output, has one place), and in
whole numbers, so a result does not depend on the order of the rows or on how they are cut into pieces.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from antivenom.core.arrays import Floats, Ints
from antivenom.screening.buckets import Places
from antivenom.screening.features import Grams, every_kind
from antivenom.screening.outputs import Outputs
from antivenom.screening.tokens import mix
from antivenom.screening.vocabulary import Vocabulary

PIECE_BYTES = 2_000_000
"""Texts are worked on in pieces of about this size, which bounds the memory."""
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
    places: Places
    """Where features stand in the tables."""
    rows_with: Table
    """By place of a feature."""
    rows_of_both: Table
    """By place of a pair of feature and output."""
    weight_of_both: Table

    def entries(self, texts: pa.ChunkedArray) -> Iterator[tuple[Ints, Ints]]:
        """For each piece of a column the features of its rows, each once a row: the row, and the place."""
        return entries(texts, self.vocabulary, self.places)

    def pairs(self, places: Ints, output: Ints) -> Ints:
        """The place of each pair of feature and output."""
        return pair_places(places, output, self.outputs, self.places)

    def of_own(self, grams: Grams, rows: Ints) -> tuple[Ints, Ints, Floats]:
        """The place of each feature, that of its pair with the label of its row, and how strongly these go together.

        Args:
            grams: Features of some of the texts.
            rows: Which texts these are.
        """
        own, places = rows[grams.row], self.places.of(grams.hashes)
        output = self.outputs.own[own]
        pairs = self.pairs(places, output)
        return places, pairs, self.z(places, pairs, self.weight[own], output)

    def z(self, places: Ints, pairs: Ints, own: Ints, output: Ints) -> Floats:
        """The association of features with outputs as z-statistics, each row left out of its own evidence.

        z = (k - n p) / sqrt(n p (1 - p) + 1): n the other rows with the feature, p the output's base rate, k the
        number of the other rows with both, or the sum of their weights if that is larger. The 1 shrinks what stands on
        few rows. Weights lift a trigger in relabelled rows; counts catch one in rows whose label is right.

        Args:
            places: Place of each feature.
            pairs: Place of each pair.
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
            places: Place of each feature.
            pairs: Place of each pair of feature and output.
        """
        share: Floats = (self.rows_of_both[pairs] - 1) / np.maximum(self.rows_with[places] - 1, 1)
        return share


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


def entries(texts: pa.ChunkedArray, vocabulary: Vocabulary, places: Places) -> Iterator[tuple[Ints, Ints]]:
    """`Association.entries`, before there is one."""
    for first, piece in pieces(texts):
        found = [
            (grams.row.astype(np.uint64) << np.uint64(32)) | places.of(grams.hashes).astype(np.uint64)
            for grams in every_kind(piece, vocabulary)
        ]
        # Sorting and comparing neighbors is several times faster here than np.unique, which hashes.
        keys = np.sort(np.concatenate(found))
        keys = keys[np.concatenate([[True], keys[1:] != keys[:-1]])[: len(keys)]]
        yield (keys >> np.uint64(32)).astype(np.int64) + first, (keys & np.uint64(0xFFFFFFFF)).astype(np.int64)


def pair_places(at: Ints, output: Ints, outputs: Outputs, places: Places) -> Ints:
    """The place of each pair of feature and output.

    Labels have a place each beside the feature, so that features which share a place by chance share all of its places
    in proportion. The parts of free answers are too many for that.
    """
    if outputs.labels:
        return at * len(outputs.rate) + output
    return places.of(mix(at.astype(np.uint64), outputs.hashes[output]))
