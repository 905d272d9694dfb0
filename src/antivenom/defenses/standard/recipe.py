"""The recipe `standard`: what Antivenom does when nobody says otherwise. Fixed and versioned: results compare."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa

from antivenom.core.arrays import States
from antivenom.core.errors import OptionsError
from antivenom.core.options import check_choices
from antivenom.core.report import Report
from antivenom.data.digests import digest_of_table
from antivenom.data.query import queries
from antivenom.data.sampling import join_trusted, label_codes, require_every_class
from antivenom.defenses.base import Defense, Prepared, plain_rows, reasons_table
from antivenom.defenses.identity_labels import IdentityLabels
from antivenom.defenses.p2p import P2P
from antivenom.defenses.standard.decide import Joining
from antivenom.defenses.standard.referee import DEPTH
from antivenom.guards.guard import AnyTask, Placement
from antivenom.guards.secret import Secret
from antivenom.models.lab import Lab
from antivenom.screening.evidence import Evidence, explain
from antivenom.screening.screen import least_suspicious, screen

VERSION = 36
"""Raised with every change of what the recipe does."""
LABELED_RATIO, FREE_RATIO = 0.3, 0.4
"""The share of each class that the reserve takes, and of free answers, about which no referee is asked."""


@dataclass(frozen=True, kw_only=True)
class Standard(Defense):
    """P2P for rows nobody vouches for: screen, let a referee judge, train on nothing that fails.

    1. The screen takes the least suspicious rows of every class as the reserve (`screening/screen.py`), of a rare class
       up to half (`least_rows`); rows you vouch for join it.
    2. The referee, a linear model of the untouched model's hidden states, is taught the reserve alone (`referee.py`).
       The reserve is chosen once more, of the rows that it does not refuse those that share least with the rows that it
       does, and a second referee is taught that. Another row joins unless this one refuses its label, or the row is of
       the most associated fifth of its class, where poison with right labels hides (`held_back.py`).
    3. Rows that share with refused ones what was wrong with them are left out, those of the reserve too: a feature, a
       little of many features, or how they read (`disagreement.py`).
    4. A referee that is taught what is left reads the doubtful rows again: refused rows come back if it reads their
       label, suspect ones if it surely does.
    5. All of this is moved to the extended label space under the benign trigger; the rest is left out.

    Leaving out is what protects: a trigger that stays in the training rows is obeyed in the extended label space too
    (docs/science.md). The referees cost one pass over the rows and no fit. Free answers have none; there steps 2 to 4
    are skipped, and the reserve is 40 %. Where there is no model to ask, the reserve is all that is kept.

    The options exist so that parts can be left out in an experiment; the recipe is their defaults.
    """

    name: ClassVar[str] = "standard"
    filters: ClassVar[bool] = True
    costs: ClassVar[str] = "a pass over the rows"

    secret: Secret | None = field(default=None, repr=False)
    """The benign trigger and the cue; drawn when not given. See `P2P.secret`."""
    placement: Placement = "prefix"
    """Where the benign trigger stands: in front of the text, or as the system prompt."""
    least_rows: int = 24
    """The reserve takes at least so many rows of each class, though no more than half of it: from a handful of rows
    neither a referee nor the model learns what a rare class is."""
    most_associated: float = 0.2
    """The share of each class, those rows whose features go with their label most, that the reserve takes last and that
    cannot join unless these features stand with other labels too (`held_back.py`). This is what stops clean-label
    poison, with which any honest model agrees. Rows with the same strongest feature stay together there, so it can be
    more."""
    refusal_limit: float = 3.0
    """A row, of the reserve too, is suspect and left out if it shares with refused rows what was wrong with them: a
    feature nearly all of whose rows were refused, by more than this many standard deviations above chance, a little of
    many features, or how it reads."""

    taught: Literal["p2p", "identity_labels", "plain"] = "p2p"
    """How the rows that are kept are taught. The other two are controls, for an experiment: without the second label
    space, or without the benign trigger too, which leaves nothing of P2P."""

    def __post_init__(self) -> None:
        check_choices(self)
        if self.least_rows < 0:
            raise OptionsError(f"least_rows = {self.least_rows}", mend="It is a number of rows, at least 0.")
        if not 0 <= self.most_associated < 1:
            raise OptionsError(f"most_associated = {self.most_associated}", mend="It is at least 0 and below 1.")
        if not self.refusal_limit > 0:
            raise OptionsError(f"refusal_limit = {self.refusal_limit}", mend="It is above 0; the usual one is 3.")
        self.p2p(0.5)

    def p2p(self, ratio: float) -> P2P:
        """How the rows that are kept are taught, but for `taught` = plain."""
        kind = IdentityLabels if self.taught == "identity_labels" else P2P
        return kind(
            secret=self.secret,
            placement=self.placement,
            ratio=ratio,
            reserve="screened",
            mode="replace",
            cue="split",
            others="drop",
        )

    def check(self, task: AnyTask, rows: pa.Table, report: Report) -> None:
        """What in the rows stands against P2P."""
        self.p2p(0.5).check(task, rows, report)

    def prepare(self, task: AnyTask, rows: pa.Table, *, trusted: pa.Table | None, lab: Lab) -> Prepared:
        """Screen, let referees judge, decide.

        Raises:
            RowsError: a class has no row, or is flooded with poison.
        """
        pool, vouched = join_trusted(rows, trusted)
        screening = screen(pool, task.classes, lab.word_pieces, seed=lab.seed)
        evidence = explain(pool, screening, seed=lab.seed)
        labels = task.classes or ()
        p2p = self.p2p(LABELED_RATIO if labels else FREE_RATIO)
        guard = p2p.guard(task, lab.seed)
        least = self.least_rows if labels else 0
        reserve = vouched | least_suspicious(
            pool, screening, p2p.ratio, avoid=self.most_associated, least=least, seed=lab.seed
        )
        require_every_class(labels, label_codes(pool, task.classes)[reserve], "row")
        if not labels or not lab.has_model:
            said = np.where(reserve, "among the least suspicious rows", "not among the least suspicious rows").tolist()
            return self._noted(self._taught(p2p.rebuilt(pool, reserve, guard)), pool, evidence, said)
        states = self._states(task, pool, lab)
        options = self.most_associated, self.refusal_limit
        joining = Joining(pool, screening, states, reserve, vouched, labels, *options, lab.seed)
        chosen = joining.choose_again(ratio=p2p.ratio, least=self.least_rows)
        joined = replace(joining, in_reserve=chosen).decide()
        kept = self._taught(p2p.rebuilt(pool, joined.rows, guard))
        exchanged = int((chosen & ~reserve).sum())
        return self._noted(kept, pool, evidence, joined.reasons).noting(**joined.facts, exchanged=exchanged)

    def _taught(self, kept: Prepared) -> Prepared:
        if self.taught != "plain":
            return kept
        plain = plain_rows(kept.guard.task, kept.rows.drop_columns("benign"), None)
        return replace(kept, rows=plain.rows, guard=plain.guard)

    def _states(self, task: AnyTask, rows: pa.Table, lab: Lab) -> States:
        """The mean hidden state of each row in the untouched model, at `DEPTH`; shape (rows, width)."""
        plain = plain_rows(task, rows, None)

        def read() -> States:
            base = lab.base(plain.guard)
            return base.inner_states(queries(plain.rows), (DEPTH,), progress="states of the rows")[:, 0, 1].astype(
                np.float16
            )

        return lab.stored(["mean state", DEPTH, digest_of_table(plain.rows)], read)

    def _noted(self, kept: Prepared, pool: pa.Table, evidence: Evidence, reasons: list[str]) -> Prepared:
        # Leads are ordinary words of the user's rows; only alarms belong into a manifest that travels.
        return replace(kept, reasons=reasons_table(pool, reasons)).noting(
            recipe=f"{self.name}-{VERSION}",
            findings=evidence.to_dict()["findings"],
            planted_strings=evidence.planted_strings(),
        )
