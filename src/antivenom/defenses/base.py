"""What a defense is: it turns untrusted rows into the rows to train on, and the guard to keep."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from antivenom.core.registry import Method
from antivenom.core.report import Report
from antivenom.data.query import Asked
from antivenom.guards.guard import AnyTask, Guard
from antivenom.guards.labels import ChoiceScores
from antivenom.screening.subword_splits import WordPieces, uncut

PREPARED_SCHEMA = pa.schema(
    [("row", pa.int64()), ("text", pa.string()), ("answer", pa.string()), ("benign", pa.bool_())]
)
"""`answer` is what the model is to say; `benign` says whether the row carries the benign trigger. Behind these stand
the context and the image where the rows have them."""

REFEREE_STEPS = 300
"""A referee is trained as long as over all rows, as far as that adds no steps beyond these: it need not be the best
there is."""


class Referee(Protocol):
    """A model behind its guard, as far as a defense asks it."""

    @property
    def guard(self) -> Guard:
        """Wraps what is asked and reads what is said."""
        ...

    def score(self, asked: Sequence[Asked], *, progress: str | None = None) -> ChoiceScores:
        """Score texts or queries."""
        ...

    def states(self, texts: Sequence[str], *, progress: str | None = None) -> npt.NDArray[np.float32]:
        """What the model makes of each bare text, as numbers that are alike for texts that are; (texts, width)."""
        ...


@dataclass(frozen=True)
class Prepared:
    """The rows to train on and the guard that belongs to them."""

    rows: pa.Table
    """`row`, `text` (as the user wrote it), `answer` (what is to be said), `benign`; a context and an image if any."""
    guard: Guard
    """Renders the rows for training, and everything afterwards."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What the defense did, for the manifest: the policy, counts and digests."""
    chosen_from: int = 0
    """How many rows these were chosen from, where some were left out: training takes as long as over all of them."""
    most_steps: float = inf
    """For that reason no training is made longer than so many optimizer steps."""
    reconsider: Callable[[Referee], Prepared] | None = field(default=None, repr=False, compare=False)
    """Where a model fine-tuned on `for_referee` shall decide about the others: what to train on, once it was asked. It
    may be what another referee is fine-tuned on."""
    without_decoys: pa.Table | None = field(default=None, repr=False, compare=False)
    """The rows as they are without decoys, where any have some."""

    @property
    def for_referee(self) -> Prepared:
        """What a referee is fine-tuned on: it judges rows as they are, so it learns from rows as they are."""
        return replace(
            self, rows=self.rows if self.without_decoys is None else self.without_decoys, most_steps=REFEREE_STEPS
        )

    def decided(self, referee_of: Callable[[Prepared], Referee]) -> Prepared:
        """What to train on, once all referees that are asked for have been.

        Args:
            referee_of: Fine-tunes a referee on what it is given (`for_referee`).
        """
        prepared = self
        while prepared.reconsider is not None:
            prepared = prepared.reconsider(referee_of(prepared.for_referee))
        return prepared

    def noting(self, facts: dict[str, Any], *, chosen_from: int = 0) -> Prepared:
        """The same with more facts, in front, and for at least so many rows; what comes of a referee will be, too."""
        later = self.reconsider
        after = None if later is None else lambda referee: later(referee).noting(facts, chosen_from=chosen_from)
        most = max(self.chosen_from, chosen_from)
        return replace(self, facts={**facts, **self.facts, **facts}, chosen_from=most, reconsider=after)


@dataclass(frozen=True, kw_only=True)
class Defense(Method, ABC):
    """Base of all defenses. A defense sees rows, never the truth about them."""

    filters: ClassVar[bool] = False
    """Whether it always leaves rows out; others do so only where an option says it."""

    def check(self, task: AnyTask, train: pa.Table, report: Report) -> None:
        """Add to `report` what in the rows stands against this defense; nothing by default."""

    @abstractmethod
    def prepare(
        self, task: AnyTask, train: pa.Table, *, trusted: pa.Table | None, seed: int, word_pieces: WordPieces = uncut
    ) -> Prepared:
        """Decide what to train on.

        Args:
            task: The task.
            train: The untrusted rows (`row`, `text`, `answer`).
            trusted: Rows that the user vouches for, if there are any.
            seed: Keys every draw; the same inputs give the same result in any order of the rows.
            word_pieces: How the tokenizer of the model to be trained cuts words, where that is known.
        """
