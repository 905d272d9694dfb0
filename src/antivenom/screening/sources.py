"""Where screened rows are looked up again, to name and to show what was found in them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import pyarrow as pa
from scipy.sparse import csr_array

from antivenom.core.arrays import Hashes, Ints
from antivenom.core.hashing import row_keys
from antivenom.data.query import whole_texts
from antivenom.screening.association import Association


class Source(Protocol):
    """Rows in memory, or in parts (`parts.py`). Rows are named by their places, which are asked for in order."""

    @property
    def numbers(self) -> Ints:
        """The number of each row in what it was read from."""

    def keys(self, rows: Ints, purpose: str) -> Hashes:
        """A keyed hash of the texts of some rows."""

    def having(self, columns: Ints) -> csr_array:
        """Which rows have each of some columns: see `FeatureTable.having`."""

    def take(self, rows: Ints) -> pa.Table:
        """Some rows."""


@dataclass(frozen=True)
class InMemory:
    """All rows in memory."""

    table: pa.Table
    association: Association
    seed: int

    @cached_property
    def numbers(self) -> Ints:
        """See `Source`."""
        numbers: Ints = self.table.column("row").to_numpy()
        return numbers

    def keys(self, rows: Ints, purpose: str) -> Hashes:
        """See `Source`."""
        return row_keys(whole_texts(self.take(rows)), seed=self.seed, purpose=purpose)

    def having(self, columns: Ints) -> csr_array:
        """See `Source`."""
        return self.association.table.having(columns)

    def take(self, rows: Ints) -> pa.Table:
        """See `Source`."""
        return self.table.take(pa.array(rows))
