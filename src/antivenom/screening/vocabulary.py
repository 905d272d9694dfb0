"""How common the words of the data are, and what they are spelled with; counted in bounded memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from antivenom.core.arrays import BoolArray, Hashes, Ints
from antivenom.core.hashing import row_keys
from antivenom.screening.buckets import Places
from antivenom.screening.tokens import END, START, Stream

SKELETON_WORDS = 100
"""A skeleton keeps this many of the most frequent tokens of the data: in every language mostly the function words."""
SKELETON_SHARE = 0.005
"""A token in a smaller share of the rows is never part of a skeleton."""
RARE_ROWS = 2
"""A token in at most this many rows counts as nearly unique."""
UNCOMMON_SHARE = 1 / 800
"""A token in at most this share of the rows, or nearly unique, does not show how words are spelled here."""
LETTER_PLACES = 1 << 20
"""Places in the table of letter runs: English has about 10,000."""


@dataclass(frozen=True)
class Vocabulary:
    """In how many rows each token stands, counted by hash so that memory does not grow with the data."""

    rows: int
    places: Places
    """Where tokens stand in the tables."""
    counts: npt.NDArray[np.int32]
    """By place of a token."""
    known_runs: BoolArray
    """By place of a letter run (`run_places`): whether a token has it that is not uncommon."""
    fragmented: BoolArray
    """By place of a token: whether a tokenizer cuts it small; nowhere if none was asked."""

    @property
    def run_places(self) -> Places:
        """Where letter runs stand in their table."""
        return self.places.resized(LETTER_PLACES)

    def of(self, stream: Stream) -> Ints:
        """In how many rows each symbol of a stream of lower-cased words stands."""
        found: Ints = self.counts[self.places.of(stream.hashes)].astype(np.int64)
        return found

    def frequent(self, stream: Stream) -> BoolArray:
        """Which symbols a skeleton keeps."""
        return self.of(stream) >= self._least

    @cached_property
    def _least(self) -> float:
        """Rows that a token of a skeleton stands in at least."""
        seen = self.counts[self.counts > SKELETON_SHARE * self.rows]
        last = np.partition(seen, -SKELETON_WORDS)[-SKELETON_WORDS] if len(seen) > SKELETON_WORDS else 0
        return float(max(last, SKELETON_SHARE * self.rows, RARE_ROWS + 1))

    def rare(self, stream: Stream) -> BoolArray:
        """Which symbols are nearly unique."""
        return self.of(stream) <= RARE_ROWS

    def uncommon(self, stream: Stream) -> BoolArray:
        """Which symbols are too rare to say how words are spelled."""
        return self.of(stream) <= max(RARE_ROWS, UNCOMMON_SHARE * self.rows)

    def is_fragmented(self, stream: Stream) -> BoolArray:
        """Which symbols a tokenizer cuts small."""
        found: BoolArray = self.fragmented[self.places.of(stream.hashes)]
        return found

    def odd_runs(self, stream: Stream) -> Ints:
        """How many letter runs each uncommon symbol has that no other kind of token has; 0 for other symbols."""
        uncommon, odd = self.uncommon(stream), np.zeros(len(stream), dtype=np.int64)
        symbols, which = np.unique(stream.symbol[uncommon], return_inverse=True)
        owner, hashes = letter_runs([stream.names[i] for i in symbols])
        unknown = ~self.known_runs[self.run_places.of(hashes)]
        odd[uncommon] = np.bincount(owner[unknown], minlength=len(symbols))[which]
        return odd


def letter_runs(names: Sequence[str]) -> tuple[Ints, Hashes]:
    """Every three letters in a row of each name, its edges included: the number of the name, and a hash."""
    edged = [f"{START}{name}{END}" for name in names]
    runs = [name[i : i + 3] for name in edged for i in range(len(name) - 2)]
    owner = np.repeat(np.arange(len(names)), [len(name) - 2 for name in edged])
    return owner, row_keys(pa.array(runs, pa.string()), seed=0, purpose="letters")
