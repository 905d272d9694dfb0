"""What the recipe's `Joining` decides about rows, with each of its parts set by a test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from antivenom.data.rows import with_columns
from antivenom.data.sampling import join_trusted
from antivenom.defenses.p2p import P2P
from antivenom.defenses.standard.decide import Joining
from antivenom.defenses.standard.decoys import add_decoys
from antivenom.screening.screen import least_suspicious, screen


@dataclass(frozen=True)
class Deciding:
    """The settings of a decision; `of` makes it."""

    reserve: str = "screened"
    ratio: float = 0.25
    least: int = 0
    most_associated: float = 0.2
    refusal_limit: float | None = None
    correct_suspects: bool = False
    choose_twice: bool = False
    dose: float = 0.0

    def of(self, task, rows: pa.Table, referee_of, *, trusted=None, seed=0) -> Decision:
        """Decide about rows.

        Args:
            task: The task.
            rows: The untrusted rows.
            referee_of: Makes a referee of a guard.
            trusted: Rows that are vouched for.
            seed: Keys every draw.
        """
        pool, vouched = join_trusted(rows, trusted)
        screening = screen(pool, task.labels, seed=seed)
        guard = P2P(reserve="random").guard(task, seed)
        first = self._first(task, pool, vouched, screening, seed)
        settings = (pool, screening, vouched, self.most_associated, self.refusal_limit, seed)
        second, states = first, None
        if self.choose_twice:
            second, states = joining(*settings, first).choose_again(
                referee_of(guard), ratio=self.ratio, least=self.least
            )
        joined = joining(*settings, second, states).decide(referee_of(guard), correct_suspects=self.correct_suspects)
        taught = with_columns(pool, answer=np.array(task.labels, dtype=object)[joined.codes])
        taught = taught.filter(pa.array(joined.rows))
        if self.dose:
            everywhere = np.ones(taught.num_rows, dtype=bool)
            taught = add_decoys(taught, everywhere, ("planted",), self.dose, planted=joined.planted.written, seed=seed)
        facts = {**joined.facts, "rows": taught.num_rows, "left_out": pool.num_rows - taught.num_rows}
        return Decision(pool.filter(pa.array(first)), pool.filter(pa.array(second)), taught, facts)

    def _first(self, task, pool, vouched, screening, seed):
        if self.reserve == "screened":
            chosen = least_suspicious(
                pool, screening, self.ratio, avoid=self.most_associated, least=self.least, seed=seed
            )
            return vouched | chosen
        return P2P(reserve=self.reserve, ratio=self.ratio)._draw_trusted(task, pool, vouched, seed)


def joining(pool, screening, vouched, most_associated, refusal_limit, seed, reserve, states=None) -> Joining:
    return Joining(pool, screening, reserve, vouched, most_associated, refusal_limit, seed, states)


@dataclass(frozen=True)
class Decision:
    """What was decided."""

    first: pa.Table
    """The first reserve."""
    second: pa.Table
    """The reserve that the referee that decides was taught."""
    rows: pa.Table
    """What is taught, with the labels that it is taught with."""
    facts: dict[str, Any]
