"""No defense: what everybody does today, and the baseline of every comparison."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa

from antivenom.data.rows import join_rows
from antivenom.data.sampling import same_rows
from antivenom.defenses.base import Defense, Prepared
from antivenom.defenses.rebuild import rebuild
from antivenom.guards.guard import AnyTask, unguarded
from antivenom.screening.subword_splits import WordPieces, uncut


@dataclass(frozen=True, kw_only=True)
class NoDefense(Defense):
    """Train on the rows as they are. Trusted rows that are not among them are added, so that a comparison is fair."""

    name: ClassVar[str] = "none"

    def prepare(
        self, task: AnyTask, train: pa.Table, *, trusted: pa.Table | None, seed: int, word_pieces: WordPieces = uncut
    ) -> Prepared:
        """Return the rows with their ordinary verbalizers."""
        guard = unguarded(task)
        if trusted is not None:
            train = join_rows([train, trusted.filter(pa.array(~same_rows(trusted, train)))])
        return Prepared(rebuild(train, np.zeros(train.num_rows, dtype=bool), guard, "replace"), guard)
