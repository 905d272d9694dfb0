"""How common the words of the data are, and what they are spelled with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import compress

import numpy as np
import pyarrow as pa

from antivenom.core.arrays import BoolArray, Hashes, Ints
from antivenom.core.hashing import row_keys
from antivenom.screening.subword_splits import WordPieces, is_cut_small
from antivenom.screening.tokens import END, START, Tokens, symbols

SKELETON_WORDS = 100
"""A skeleton keeps this many of the most frequent tokens of the data: in every language mostly the function words."""
SKELETON_SHARE = 0.005
"""A token in a smaller share of the rows is never part of a skeleton."""
RARE_ROWS = 2
"""A token in at most this many rows counts as nearly unique."""
UNCOMMON_SHARE = 1 / 800
"""A token in at most this share of the rows, or nearly unique, does not show how words are spelled here."""


def uncommon_rows(rows: int) -> float:
    """A token in at most so many of these rows is uncommon."""
    return max(RARE_ROWS, UNCOMMON_SHARE * rows)


@dataclass(frozen=True)
class Vocabulary:
    """In how many rows each token stands, and what is known of its spelling; one entry for each token of the rows."""

    rows: int
    seed: int
    """Keys the hashes."""
    known: Hashes
    """The hash of each token, ascending."""
    counts: Ints
    """In how many rows it stands."""
    known_runs: Hashes
    """The letter runs of tokens that are not uncommon, ascending."""
    cut_small: BoolArray
    """Whether a tokenizer cuts it small; no token if none was asked."""

    @classmethod
    def of(cls, lower: Tokens, counts: Ints, rows: int, word_pieces: WordPieces, *, seed: int) -> Vocabulary:
        """Put together what is known of tokens.

        Args:
            lower: The lower-cased tokens of all rows.
            counts: In how many rows each symbol of theirs stands.
            rows: How many rows there are.
            word_pieces: How a tokenizer cuts words.
            seed: Keys the hashes, those of `lower` too.
        """
        order = np.argsort(lower.keys, kind="stable")
        small = is_cut_small(lower.names, word_pieces)
        plain = cls(rows, seed, lower.keys[order], counts[order], np.zeros(0, np.uint64), small[order])
        common = [lower.names[i] for i in np.flatnonzero(counts > uncommon_rows(rows))]
        return replace(plain, known_runs=np.unique(letter_runs(common, seed=seed)[1]))

    @classmethod
    def of_hashes(cls, known: Hashes, counts: Ints, names: Sequence[str], rows: int, *, seed: int) -> Vocabulary:
        """The same where no tokenizer is asked; tokens that count as nearly unique are left out.

        Args:
            known: The hash of each token, ascending.
            counts: In how many rows it stands.
            names: Some tokens, those that are not uncommon among them.
            rows: How many rows there are.
            seed: Keys the hashes.
        """
        kept, nowhere = counts > RARE_ROWS, np.zeros(0, dtype=np.int32)
        no_runs, uncut = np.zeros(0, dtype=np.uint64), np.zeros(int(kept.sum()), dtype=bool)
        plain = cls(rows, seed, known[kept], counts[kept], no_runs, uncut)
        is_common = plain.of_names(symbols(nowhere, nowhere, list(names), seed=seed)) > uncommon_rows(rows)
        common = list(compress(names, is_common.tolist()))
        return replace(plain, known_runs=np.unique(letter_runs(common, seed=seed)[1]))

    def of_names(self, tokens: Tokens) -> Ints:
        """In how many rows each name of lower-cased tokens stands."""
        place, found = _find(self.known, tokens.keys)
        counts: Ints = np.where(found, self.counts[place], 0) if len(self.counts) else np.zeros(len(place), np.int64)
        return counts

    def frequent(self, tokens: Tokens) -> BoolArray:
        """Which names a skeleton keeps."""
        return self.of_names(tokens) >= self._least

    @cached_property
    def _least(self) -> float:
        """Rows that a token of a skeleton stands in at least."""
        seen = self.counts[self.counts > SKELETON_SHARE * self.rows]
        last = np.partition(seen, -SKELETON_WORDS)[-SKELETON_WORDS] if len(seen) > SKELETON_WORDS else 0
        return float(max(last, SKELETON_SHARE * self.rows, RARE_ROWS + 1))

    def rare(self, tokens: Tokens) -> BoolArray:
        """Which names are nearly unique."""
        return self.of_names(tokens) <= RARE_ROWS

    def is_cut_small(self, tokens: Tokens) -> BoolArray:
        """Which names a tokenizer cuts small."""
        place, found = _find(self.known, tokens.keys)
        return found & self.cut_small[place] if len(self.cut_small) else found

    def odd_runs(self, tokens: Tokens) -> Ints:
        """How many letter runs each uncommon name has that no other kind of token has; 0 for other names."""
        uncommon = np.flatnonzero(self.of_names(tokens) <= uncommon_rows(self.rows))
        owner, hashes = letter_runs([tokens.names[i] for i in uncommon], seed=self.seed)
        _, is_known = _find(self.known_runs, hashes)
        odd = np.zeros(len(tokens.names), dtype=np.int64)
        odd[uncommon] = np.bincount(owner[~is_known], minlength=len(uncommon))
        return odd


def _find(ascending: Hashes, wanted: Hashes) -> tuple[Ints, BoolArray]:
    """Where each hash stands among others, and whether it does."""
    if not len(ascending):
        return np.zeros(len(wanted), dtype=np.int64), np.zeros(len(wanted), dtype=bool)
    place = np.minimum(np.searchsorted(ascending, wanted), len(ascending) - 1)
    return place, ascending[place] == wanted


def letter_runs(names: Sequence[str], *, seed: int) -> tuple[Ints, Hashes]:
    """Every three letters in a row of each name, its edges included: the number of the name, and a hash."""
    edged = [f"{START}{name}{END}" for name in names]
    runs = [name[i : i + 3] for name in edged for i in range(len(name) - 2)]
    owner = np.repeat(np.arange(len(names)), [len(name) - 2 for name in edged])
    return owner, row_keys(pa.array(runs, pa.string()), seed=seed, purpose="letters")
