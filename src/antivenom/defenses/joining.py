"""Which rows join the reserve once a referee was asked about them, and which leave it or get another label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from antivenom.defenses.base import Referee
from antivenom.defenses.blind_spots import blind_spots
from antivenom.defenses.disagreement import find_suspects
from antivenom.defenses.meaning import in_small_groups, meant, undecided
from antivenom.defenses.referee import Verdict, own_accuracy
from antivenom.defenses.refusals import RefusalCounts, own_refusals
from antivenom.defenses.screen import Screening
from antivenom.defenses.second_opinion import SURE, SecondOpinion
from antivenom.defenses.state_table import States
from antivenom.defenses.strains import Strains, find_strains
from antivenom.defenses.streams import BoolArray, Ints
from antivenom.files import row_keys
from antivenom.query import whole_texts

MOSTLY = 0.5
"""A label that loses a larger share of its rows than this is named."""


@dataclass(frozen=True)
class Joined:
    """What was decided."""

    rows: BoolArray
    """Which rows to train on, those of the reserve among them."""
    codes: Ints
    """The number of the label to train each row with: its own, or what the referee reads in a corrected one."""
    strains: Strains
    """What looks planted."""
    facts: dict[str, Any]
    """The counts for the manifest."""


@dataclass(frozen=True)
class _Look:
    """What the second screen found."""

    suspect: BoolArray
    """Rows that share with refused ones what was wrong with them."""
    certain: BoolArray
    """See `Suspects`."""
    by_one_feature: BoolArray
    """See `Suspects`."""
    blind: BoolArray
    """Refused rows in a blind spot of the referee."""
    strains: Strains
    """What looks planted."""
    states: States
    """What the referee's model makes of the rows' texts; without numbers where nobody looked."""


@dataclass(frozen=True)
class Joining:
    """The rows, and what is known of them before a referee is asked."""

    rows: pa.Table
    screening: Screening
    """What the screen saw in them."""
    in_reserve: BoolArray
    """What the referee was fine-tuned on."""
    vouched: BoolArray
    """Trusted rows: always kept, never asked about."""

    def decide(
        self, referee: Referee, *, most_associated: float, refusal_limit: float | None, correct_suspects: bool
    ) -> Joined:
        """Decide which rows to train on, and with which label.

        Args:
            referee: The model that was fine-tuned on the reserve.
            most_associated: See `P2P.most_associated`.
            refusal_limit: See `P2P.refusal_limit`.
            correct_suspects: See `P2P.correct_suspects`.
        """
        classes = self.screening.classes
        judged = ~self.in_reserve & ~self.vouched
        verdict = Verdict.of(self.rows, classes, judged, referee)
        strongly = self.screening.associated > 1 - most_associated
        kept_out = judged & strongly & ~undecided(self.screening, most_associated)
        small = kept_out & in_small_groups(self.screening)
        known = meant(self.rows, self.screening, kept_out & ~small, referee, verdict.elsewhere)
        kept_out &= ~small & ~known
        joined = self.in_reserve | self.vouched | (judged & ~verdict.refused & ~kept_out)
        look = self._look_again(verdict, known, kept_out, referee, refusal_limit)
        clear = joined & ~look.suspect
        second = self._second_opinion(look, taught=clear, asked=verdict.refused | look.suspect)
        read_again = verdict.refused & ~kept_out & ~look.suspect & (second.lead > 0)
        read_again |= joined & look.suspect & ~look.certain & (second.lead > SURE)
        spread = np.isin(np.arange(len(judged)), list(look.strains.rows))
        corrected = look.suspect & (verdict.read != classes) & ~known & (~look.by_one_feature | spread)
        corrected &= correct_suspects & (second.read == verdict.read)
        taught = clear | read_again
        facts = {
            "chosen": int(self.in_reserve.sum()),
            "excused": int((joined & (small | known)).sum()),
            "suspect": int((joined & ~taught).sum()),  # that would have joined
            "read_again": int(read_again.sum()),
            "corrected": int(corrected.sum()),
            "scarce": self._scarce(taught, referee),
            "strains": look.strains.named,
            **self._of_referee(verdict, referee),
        }
        return Joined(taught | corrected, np.where(corrected, verdict.read, classes), look.strains, facts)

    def _scarce(self, taught: BoolArray, referee: Referee) -> dict[str, int]:
        """The labels most of whose rows are not trained on as such, and how many are."""
        classes, labels = self.screening.classes, referee.guard.labels.labels
        given, left = (np.bincount(classes[rows], minlength=len(labels)) for rows in (np.ones_like(taught), taught))
        return {labels[code]: int(left[code]) for code in np.flatnonzero(left < given * (1 - MOSTLY))}

    def _look_again(
        self, verdict: Verdict, known: BoolArray, kept_out: BoolArray, referee: Referee, limit: float | None
    ) -> _Look:
        """What the refused rows have in common, those of `known` aside; nothing where there is no limit."""
        if limit is None:
            nobody = np.zeros_like(kept_out)
            return _Look(nobody, nobody, nobody, nobody, Strains(), np.zeros((len(nobody), 0), dtype=np.float32))
        counts = RefusalCounts.of(self.rows, self.screening, verdict.judged & ~known, verdict.refused)
        states = referee.states(counts.texts.to_pylist(), progress="referee reads")
        blind = blind_spots(self.screening.classes, verdict.likeliest, verdict.refused & ~known)
        found = find_suspects(counts, states, limit, accepted=~verdict.refused, blind=blind)
        strains = find_strains(counts, limit, kept_out)
        suspect = self._sparing(found.rows)
        return _Look(suspect, found.certain, found.by_one_feature, blind, strains, states)

    def _second_opinion(self, look: _Look, *, taught: BoolArray, asked: BoolArray) -> SecondOpinion:
        """What is read in rows by what was learnt from those that are taught; nothing where nobody looked again."""
        keys = row_keys(whole_texts(self.rows), seed=0, purpose="second opinion")
        asked = asked & ~look.blind & bool(look.states.shape[1])
        return SecondOpinion.of(look.states, self.screening.classes, keys, taught=taught, asked=asked)

    def _of_referee(self, verdict: Verdict, referee: Referee) -> dict[str, float]:
        """How well the referee knows its own rows, and how much it refuses for reasons of its own."""
        reserve = self.rows.filter(pa.array(self.in_reserve))
        own = own_refusals(self.screening.classes, verdict.judged, verdict.refused)
        return {
            "referee_accuracy": own_accuracy(reserve, referee.guard.labels.labels, referee),
            "referee_refuses": round(own, 4),
        }

    def _sparing(self, suspect: BoolArray) -> BoolArray:
        """The suspect rows, but never all that a class has in the reserve, and none that is vouched for."""
        suspect = suspect & ~self.vouched
        for code in np.unique(self.screening.classes):
            members = self.in_reserve & (self.screening.classes == code)
            if suspect[members].all():
                suspect[members] = False
        return suspect
