"""The recipe `standard`: what Antivenom does when nobody says otherwise. Fixed and versioned: results compare."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
import pyarrow as pa

from antivenom.core.arrays import BoolArray, States
from antivenom.core.errors import OptionsError
from antivenom.core.report import Report
from antivenom.data.rows import with_columns
from antivenom.data.sampling import join_trusted, label_codes, require_every_class
from antivenom.defenses.base import Defense, Prepared, reasons_table
from antivenom.defenses.p2p import P2P
from antivenom.defenses.standard.decide import Joined, Joining
from antivenom.defenses.standard.decoys import Wordings, add_decoys
from antivenom.guards.guard import AnyTask, Guard, Placement
from antivenom.guards.secret import Secret
from antivenom.models.lab import Fitted, Lab, TrainingChanges
from antivenom.screening.evidence import Evidence, explain
from antivenom.screening.screen import Screening, least_suspicious, screen

VERSION = 33
"""Raised with every change of what the recipe does."""
REFEREE_STEPS = 300
"""A referee is trained as long as over all rows, as far as that adds no steps beyond these: it need not be the best
there is."""
FIRST, SECOND = "first referee", "referee"
"""What people are told is being fitted."""
LABELED_RATIO, FREE_RATIO = 0.3, 0.4
"""The share of each class that the reserve takes, and of free answers, about which no referee is asked."""


@dataclass(frozen=True)
class _Pool:
    """The rows, and what is known of them before any model is asked."""

    rows: pa.Table
    """The untrusted rows and those that are vouched for."""
    vouched: BoolArray
    screening: Screening
    evidence: Evidence
    """What looks planted, according to the screen."""


@dataclass(frozen=True, kw_only=True)
class Standard(Defense):
    """P2P for rows nobody vouches for: screen, let a referee decide, train on nothing else.

    1. The screen takes the least suspicious rows of every class as the reserve (`screening/screen.py`), of a rare class
       up to half (`least_rows`); rows you vouch for join it.
    2. A model, the referee, is fine-tuned on the reserve alone, and the reserve is chosen once more: of the rows that
       it does not refuse, those that share least with the rows that it does (`choose_twice`). A second referee is
       fine-tuned on that and decides. Another row joins if it finds the label possible. One
       kind is held back even then: the most associated fifth of each class,
       where poison with right labels hides. Such a row joins only if none of its strong features goes with its label
       alone, or its strongest feature is that of under 1 % of all rows, or the referee knows what its words mean
       without having been taught them (`meaning.py`).
    3. Rows that share with what the referee refused what was wrong with it are left out, those of the reserve too: a
       feature, a little of many features, or how they read (`disagreement.py`, `refusal_limit`). Refused
       rows whose words mean their label accuse nobody. Of three labels or more, a kind of text that the referee
       misreads as one other label is its blind spot (`blind_spots.py`): it gets no other label, and in its
       class one feature must be enough.
    4. A linear model of the rows that are left gives a second opinion (`second_opinion.py`): refused rows that
       are not suspect come back if it reads their label, suspect rows that were not refused if it surely does. Suspect
       rows that were refused and hold a string that becomes a decoy (step 5) come back with the label that both models
       read in them (`correct_suspects`).
    5. All of this is moved to the extended label space under the benign trigger; the rest is left out. Where
       strings were found that look planted (`planted_strings.py`), a quarter of these rows, of every class, get what
       one refused row has of them, somewhere, so that they say nothing (`decoy_dose`).

    Leaving out is what protects: a trigger that stays in the training rows is obeyed in the extended label space too
    (docs/science.md). It costs two more fine-tunings, on 30 % of the rows each. Free answers have no referee; there
    steps 2 to 4 are skipped, and the reserve is 40 %. Where there is no model to ask, the reserve is all that is kept.

    The options exist so that each part can be left out in an experiment; the recipe is their defaults.
    """

    name: ClassVar[str] = "standard"
    filters: ClassVar[bool] = True
    costs: ClassVar[str] = "two fits on 30 % of the rows each"

    secret: Secret | None = field(default=None, repr=False)
    """The benign trigger and the cue; drawn when not given. See `P2P.secret`."""
    placement: Placement = "prefix"
    """Where the benign trigger stands: in front of the text, or as the system prompt."""
    least_rows: int = 24
    """The reserve takes at least so many rows of each class, though no more than half of it: from a handful of rows
    neither a referee nor the model learns what a rare class is."""
    most_associated: float = 0.2
    """The share of each class, those rows whose features go with their label most, that the reserve takes last and that
    cannot join unless the feature is an honest one (`meaning.py`). This is what stops clean-label poison, with which
    any honest model agrees. Equal rows stay together, so it can be more."""
    refusal_limit: float | None = 3.0
    """A row, of the reserve too, is suspect and left out if it shares with refused rows what was wrong with them: a
    feature nearly all of whose rows were refused, by more than this many standard deviations above chance, a little of
    many features, or how it reads. Nobody is suspect when it is none."""
    choose_twice: bool = True
    """Whether a first referee helps to choose the reserve of the second."""
    correct_suspects: bool = True
    """Whether suspect rows with a string that becomes a decoy are trained on with the label that both models read in
    them. Others would teach the trigger in reverse."""
    decoy_dose: float = 0.25
    """The share of the rows that get what looks planted as a decoy; 0 for none."""

    def __post_init__(self) -> None:
        if self.least_rows < 0:
            raise OptionsError(f"least_rows = {self.least_rows}", mend="It is a number of rows, at least 0.")
        if not 0 <= self.most_associated < 1:
            raise OptionsError(f"most_associated = {self.most_associated}", mend="It is at least 0 and below 1.")
        if self.refusal_limit is not None and not self.refusal_limit > 0:
            raise OptionsError(f"refusal_limit = {self.refusal_limit}", mend="It is above 0; the usual one is 3.")
        if not 0 <= self.decoy_dose <= 1:
            raise OptionsError(f"decoy_dose = {self.decoy_dose}", mend="It is a share of the rows: 0 to 1.")
        self.p2p(0.5)

    def p2p(self, ratio: float) -> P2P:
        """How the rows that are kept are taught."""
        settings = {"reserve": "screened", "mode": "replace", "cue": "split", "others": "drop"}
        return P2P.from_dict(
            {**settings, "ratio": ratio, "placement": self.placement, "secret": self.secret and vars(self.secret)}
        )

    def fits(self, task: AnyTask) -> dict[str, float]:
        """The referees; free answers have none."""
        if task.classes is None:
            return {}
        return {FIRST: LABELED_RATIO, SECOND: LABELED_RATIO} if self.choose_twice else {SECOND: LABELED_RATIO}

    def check(self, task: AnyTask, rows: pa.Table, report: Report) -> None:
        """What in the rows stands against P2P."""
        self.p2p(0.5).check(task, rows, report)

    def prepare(self, task: AnyTask, rows: pa.Table, *, trusted: pa.Table | None, lab: Lab) -> Prepared:
        """Screen, ask two referees, decide.

        Raises:
            RowsError: a class has no row.
        """
        pool = self._pool(task, rows, trusted, lab)
        free = task.classes is None
        p2p = self.p2p(FREE_RATIO if free else LABELED_RATIO)
        guard = p2p.guard(task, lab.seed)
        reserve = pool.vouched | self._least_suspicious(pool, p2p.ratio, 0 if free else self.least_rows, lab)
        require_every_class(task.classes or (), label_codes(pool.rows, task.classes)[reserve], "row")
        if free or not lab.has_model:
            said = np.where(reserve, "among the least suspicious rows", "not among the least suspicious rows").tolist()
            kept = replace(p2p.rebuilt(pool.rows, reserve, guard), reasons=reasons_table(pool.rows, said))
            kept = self._with_decoys(kept, pool.evidence.planted_strings(), free, lab)
            return self._noted(kept, pool)
        exchanged, states = 0, None
        if self.choose_twice:
            first = self._referee(p2p, pool, reserve, guard, lab, FIRST)
            chosen, states = self._joining(pool, reserve, lab, None).choose_again(
                first, ratio=p2p.ratio, least=self.least_rows
            )
            exchanged, reserve = int((chosen & ~reserve).sum()), chosen
        referee = self._referee(p2p, pool, reserve, guard, lab, SECOND)
        joined = self._joining(pool, reserve, lab, states).decide(referee, correct_suspects=self.correct_suspects)
        kept = p2p.rebuilt(_relabeled(pool.rows, joined, referee.guard.labels.labels), joined.rows, guard)
        kept = replace(kept, reasons=reasons_table(pool.rows, joined.reasons))
        kept = self._with_decoys(kept, joined.planted.written, free, lab)
        return self._noted(kept, pool).noting(**joined.facts, exchanged=exchanged)

    def _pool(self, task: AnyTask, rows: pa.Table, trusted: pa.Table | None, lab: Lab) -> _Pool:
        pool, vouched = join_trusted(rows, trusted)
        screening = screen(pool, task.classes, lab.word_pieces, seed=lab.seed)
        return _Pool(pool, vouched, screening, explain(pool, screening, seed=lab.seed))

    def _least_suspicious(self, pool: _Pool, ratio: float, least: int, lab: Lab) -> BoolArray:
        return least_suspicious(
            pool.rows, pool.screening, ratio, avoid=self.most_associated, least=least, seed=lab.seed
        )

    def _referee(self, p2p: P2P, pool: _Pool, reserve: BoolArray, guard: Guard, lab: Lab, name: str) -> Fitted:
        """A model that was fine-tuned on the reserve alone, as it is: without decoys."""
        training = TrainingChanges(instead_of=pool.rows.num_rows, most_steps=REFEREE_STEPS)
        return lab.fit(p2p.rebuilt(pool.rows, reserve, guard).rows, guard, name=name, training=training)

    def _joining(self, pool: _Pool, reserve: BoolArray, lab: Lab, states: States | None) -> Joining:
        return Joining(
            pool.rows, pool.screening, reserve, pool.vouched, self.most_associated, self.refusal_limit, lab.seed, states
        )

    def _with_decoys(self, kept: Prepared, planted: Wordings, free: bool, lab: Lab) -> Prepared:
        """Decoys are for labels alone: what is put into a problem may change it."""
        if free or not self.decoy_dose:
            return kept
        everywhere = np.ones(kept.rows.num_rows, dtype=bool)
        rows = add_decoys(kept.rows, everywhere, ("planted",), self.decoy_dose, planted=planted, seed=lab.seed)
        return replace(kept, rows=rows)

    def _noted(self, kept: Prepared, pool: _Pool) -> Prepared:
        # Leads are ordinary words of the user's rows; only alarms belong into a manifest that travels.
        return kept.noting(recipe=f"{self.name}-{VERSION}", findings=pool.evidence.to_dict()["findings"])


def _relabeled(rows: pa.Table, joined: Joined, labels: tuple[str, ...]) -> pa.Table:
    return with_columns(rows, answer=np.array(labels, dtype=object)[joined.codes])
