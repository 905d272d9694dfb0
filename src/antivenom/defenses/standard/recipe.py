"""The recipe `standard`: what Antivenom does when nobody says otherwise. Fixed and versioned: results compare."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import pyarrow as pa

from antivenom.core.report import Report
from antivenom.defenses.base import Defense, Prepared
from antivenom.defenses.p2p import P2P
from antivenom.guards.guard import AnyTask, Placement
from antivenom.screening.subword_splits import WordPieces, uncut

VERSION = 32
"""Raised with every change of what the recipe does."""


@dataclass(frozen=True, kw_only=True)
class Standard(Defense):
    """P2P for rows nobody vouches for: screen, let a referee decide, train on nothing else.

    1. The screen takes the least suspicious rows of every class as the reserve (`P2P.reserve = "screened"`), of
       a rare class up to half (`P2P.least_rows`); rows you vouch for join it.
    2. A model, the referee, is fine-tuned on the reserve alone, and the reserve is chosen once more: of the rows that
       it does not refuse, those that share least with the rows that it does (`P2P.choose_twice`). A second referee is
       fine-tuned on that and decides. Another row joins if it finds the label possible (`P2P.others = "agree"`). One
       kind is held back even then: the most associated fifth of each class,
       where poison with right labels hides. Such a row joins only if none of its strong features goes with its label
       alone, or its strongest feature is that of under 1 % of all rows, or the referee knows what its words mean
       without having been taught them (`meaning.py`).
    3. Rows that share with what the referee refused what was wrong with it are left out, those of the reserve too: a
       feature, a little of many features, or how they read (`disagreement.py`, `P2P.refusal_limit`). Refused
       rows whose words mean their label accuse nobody. Of three labels or more, a kind of text that the referee
       misreads as one other label is its blind spot (`blind_spots.py`): it gets no other label, and in its
       class one feature must be enough.
    4. A linear model of the rows that are left gives a second opinion (`second_opinion.py`): refused rows that
       are not suspect come back if it reads their label, suspect rows that were not refused if it surely does. Suspect
       rows that were refused and hold a string that becomes a decoy (step 5) come back with the label that both models
       read in them (`P2P.correct_suspects`).
    5. All of this is moved to the extended label space under the benign trigger; the rest is left out. Where
       strings were found that look planted (`planted_strings.py`), a quarter of these rows, of every class, get what
       one refused row has of them, somewhere, so that they say nothing (`P2P.decoys`).

    Leaving out is what protects: a trigger that stays in the training rows is obeyed in the extended label space too
    (docs/science.md). It costs two more fine-tunings, on 30 % of the rows each. Free answers have no referee; there
    steps 2 to 4 are skipped, and the reserve is 40 %.
    """

    name: ClassVar[str] = "standard"
    filters: ClassVar[bool] = True

    benign_trigger: str = field(default=P2P.benign_trigger, repr=False)
    """The defender's trigger. Treat it as a secret."""
    placement: Placement = "prefix"
    """Where the benign trigger stands: in front of the text, or as the system prompt."""

    def p2p(self, task: AnyTask) -> P2P:
        """The settings behind the recipe. Decoys are for labels alone: what is put into a problem may change it."""
        free = task.classes is None
        return P2P(
            benign_trigger=self.benign_trigger,
            placement=self.placement,
            reserve="screened",
            ratio=0.4 if free else 0.3,
            least_rows=24,
            others="agree",
            most_associated=0.2,
            refusal_limit=3.0,
            choose_twice=not free,
            correct_suspects=not free,
            decoys=() if free else ("strains",),
            decoy_dose=0.25,
            mode="replace",
            cue="split",
        )

    def check(self, task: AnyTask, train: pa.Table, report: Report) -> None:
        """What in the rows stands against P2P."""
        self.p2p(task).check(task, train, report)

    def prepare(
        self, task: AnyTask, train: pa.Table, *, trusted: pa.Table | None, seed: int, word_pieces: WordPieces = uncut
    ) -> Prepared:
        """Step 1; a referee decides the others (`Prepared.reconsider`), except about free answers.

        Raises:
            RowsError: a class has no row.
        """
        prepared = self.p2p(task).prepare(task, train, trusted=trusted, seed=seed, word_pieces=word_pieces)
        return prepared.noting({"recipe": f"{self.name}-{VERSION}"})
