"""What the recipe's `Joining` decides about rows, with each of its parts set by a test."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from antivenom.data.query import queries
from antivenom.data.sampling import join_trusted
from antivenom.defenses.p2p import P2P
from antivenom.defenses.standard.decide import Joining
from antivenom.defenses.standard.referee import DOUBTED, Referee
from antivenom.guards.labels import shares
from antivenom.screening.screen import least_suspicious, screen


@dataclass(frozen=True)
class Deciding:
    """The settings of a decision; `of` makes it."""

    reserve: str = "screened"
    ratio: float = 0.25
    least: int = 0
    most_associated: float = 0.2
    refusal_limit: float = 3.0
    choose_twice: bool = False

    def of(self, task, rows: pa.Table, referee_of, *, trusted=None, seed=0) -> Decision:
        """Decide about rows.

        Args:
            task: The task.
            rows: The untrusted rows.
            referee_of: Makes a referee of a guard: what it scores stands for what it would have learned of the reserve.
            trusted: Rows that are vouched for.
            seed: Keys every draw.
        """
        pool, vouched = join_trusted(rows, trusted)
        screening = screen(pool, task.labels, seed=seed)
        model = referee_of(P2P(reserve="random").guard(task, seed))
        first = self._first(task, pool, vouched, screening, seed)
        settings = (first, vouched, task.labels, self.most_associated, self.refusal_limit, seed)
        states = model.states(pool.column("text").to_pylist())
        joining = Told(pool, screening, states, *settings, model=model)
        second = joining.choose_again(ratio=self.ratio, least=self.least) if self.choose_twice else first
        joined = replace(joining, in_reserve=second).decide()
        taught = pool.filter(pa.array(joined.rows))
        facts = {**joined.facts, "rows": taught.num_rows, "left_out": pool.num_rows - taught.num_rows}
        return Decision(pool.filter(pa.array(first)), pool.filter(pa.array(second)), taught, facts)

    def _first(self, task, pool, vouched, screening, seed):
        if self.reserve == "screened":
            chosen = least_suspicious(
                pool, screening, self.ratio, avoid=self.most_associated, least=self.least, seed=seed
            )
            return vouched | chosen
        return P2P(reserve=self.reserve, ratio=self.ratio)._draw_trusted(task, pool, vouched, seed)


@dataclass(frozen=True)
class Told(Joining):
    """A joining whose referee, taught the reserve, says what a test's model says."""

    model: Any = None

    def referee(self, taught):
        """The model's opinions, and of other rows than the reserve what is really learned from them."""
        if (taught != self.in_reserve).any():
            return super().referee(taught)
        opinion = shares(self.model.score(queries(self.rows)), self.model.guard.labels)
        return Referee(opinion, opinion, np.full(opinion.shape[1], DOUBTED / opinion.shape[1]))


@dataclass(frozen=True)
class Decision:
    """What was decided."""

    first: pa.Table
    """The first reserve."""
    second: pa.Table
    """The reserve that the referee that decides was taught."""
    rows: pa.Table
    """What is taught."""
    facts: dict[str, Any]
