"""Where features stand in tables of fixed size, so that nobody can choose what shares a place.

With a fixed rule an attacker could look for a rare word that shares its place with a common one: counted together, the
two are the trigger that nothing sees. So the rule is drawn anew for other rows and another seed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from antivenom.core.arrays import Hashes, Ints
from antivenom.core.hashing import row_keys

HASH_BITS = 64


@dataclass(frozen=True)
class Places:
    """A place for every 64-bit hash: the upper bits of its product with an odd number, the salt.

    Of two hashes that differ, the chance over the salts that they share a place is at most 2 / `size` (Dietzfelbinger
    et al. 1997, "A reliable randomized algorithm for the closest-pair problem"; a test counts it).
    """

    size: int
    """How many places there are: a power of two."""
    salt: int
    """An odd number below 2 ** 64."""

    def of(self, hashes: Hashes) -> Ints:
        """The place of each hash."""
        bits = np.uint64(HASH_BITS - (self.size.bit_length() - 1))
        places: Ints = ((hashes * np.uint64(self.salt)) >> bits).astype(np.int64)
        return places

    def resized(self, size: int) -> Places:
        """Places in a table of another size."""
        return Places(size, self.salt)


def salt_of(texts: pa.ChunkedArray, answers: pa.ChunkedArray, seed: int) -> int:
    """A salt that follows from the seed and from all rows, in whatever order they come.

    Who writes some of the rows does not know it, unless he knows all others and the seed.
    """
    keys = row_keys(pc.binary_join_element_wise(texts, answers, "\x1f"), seed=seed, purpose="salt")
    return int(keys.sum(dtype=np.uint64)) | 1
