"""Which rows join the reserve once a referee was asked about them, and which leave it or get another label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from antivenom.core.arrays import BoolArray, Floats, Ints, States
from antivenom.core.errors import RowsError
from antivenom.core.hashing import row_keys
from antivenom.data.query import whole_texts
from antivenom.defenses.standard.blind_spots import blind_spots
from antivenom.defenses.standard.disagreement import find_suspects, flooded
from antivenom.defenses.standard.meaning import in_small_groups, meant, undecided
from antivenom.defenses.standard.planted_strings import PlantedStrings, find_planted_strings
from antivenom.defenses.standard.referee import Verdict, own_accuracy
from antivenom.defenses.standard.refusals import RefusalCounts, own_refusals
from antivenom.defenses.standard.second_opinion import SURE, SecondOpinion
from antivenom.models.lab import Fitted
from antivenom.screening.ranking import ranks
from antivenom.screening.screen import Screening, least_suspicious

REFUSED = 2.0
"""How suspicious a refused row is: more than any other (at most 1)."""
MOSTLY = 0.5
"""A label that loses a larger share of its rows than this is named."""


@dataclass(frozen=True)
class Joined:
    """What was decided."""

    rows: BoolArray
    """Which rows to train on, those of the reserve among them."""
    codes: Ints
    """The number of the label to train each row with: its own, or what the referee reads in a corrected one."""
    planted: PlantedStrings
    """What looks planted."""
    facts: dict[str, Any]
    """The counts for the manifest."""
    reasons: list[str]
    """Why, for each row."""


@dataclass(frozen=True)
class _Judged:
    """What a referee said of the rows outside the reserve, and which of them are held back whatever it says."""

    verdict: Verdict
    kept_out: BoolArray
    """The most associated rows, but for those of the next two."""
    small: BoolArray
    """The most associated rows that are of small groups."""
    known: BoolArray
    """The most associated rows whose words mean their label (`meaning.py`)."""


@dataclass(frozen=True)
class _Look:
    """What the second screen found."""

    suspect: BoolArray
    """Rows that share with refused ones what was wrong with them."""
    certain: BoolArray
    """See `Suspects`."""
    blind: BoolArray
    """Refused rows in a blind spot of the referee."""
    evidence: Floats
    """See `Suspects`; 0 where nobody looked."""
    counts: RefusalCounts | None
    """What was refused; None where nobody looked."""
    states: States
    """What the referee's model makes of the rows' texts; without numbers where nobody looked."""


def more_suspicious(screening: Screening, evidence: Floats, refused: BoolArray) -> Screening:
    """What a screen saw, with each row as suspicious as it says or as its evidence ranks within its class.

    Args:
        screening: What it saw.
        evidence: How much each row shares with refused ones (`Suspects.evidence`).
        refused: These; they are more suspicious than any other.
    """
    suspicion = np.maximum(screening.suspicion, ranks(evidence, screening.classes, ties="min"))
    return replace(screening, suspicion=np.where(refused, REFUSED, suspicion))


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
    most_associated: float
    """See `Standard.most_associated`."""
    refusal_limit: float | None
    """See `Standard.refusal_limit`."""
    seed: int
    """The run's secret seed: keys every draw and fold."""
    states: States | None = None
    """What a model makes of the rows' texts, where it was asked before; otherwise the referee's is."""

    def choose_again(self, referee: Fitted, *, ratio: float, least: int) -> tuple[BoolArray, States]:
        """Choose the reserve once more: of the rows that the referee does not refuse, the least suspicious ones.

        A row is as suspicious as the screen says, or as what it shares with refused rows makes it, if that is more
        (both as ranks within its class). Poison that nothing gave away to the screen taught the first referee its
        trigger, and the second screen finds it in the reserve too; the second referee is hardly taught it.

        Args:
            referee: The model that was fine-tuned on the reserve.
            ratio: The share of each class that the reserve takes.
            least: See `Standard.least_rows`.

        Returns:
            The reserve, and what the referee's model makes of the rows' texts.
        """
        judged = self._judge(referee)
        look = self._look_again(judged, referee)
        screening = more_suspicious(self.screening, look.evidence, judged.verdict.refused)
        chosen = least_suspicious(self.rows, screening, ratio, avoid=self.most_associated, least=least, seed=self.seed)
        return chosen | self.vouched, look.states

    def decide(self, referee: Fitted, *, correct_suspects: bool) -> Joined:
        """Decide which rows to train on, and with which label.

        Args:
            referee: The model that was fine-tuned on the reserve.
            correct_suspects: See `Standard.correct_suspects`.

        Raises:
            RowsError: a class is flooded with poison.
        """
        classes, judged = self.screening.classes, self._judge(referee)
        verdict, kept_out, known = judged.verdict, judged.kept_out, judged.known
        joined = self.in_reserve | self.vouched | (verdict.judged & ~verdict.refused & ~kept_out)
        look = self._look_again(judged, referee)
        self._require_no_flood(look.suspect, referee.guard.labels.labels)
        planted = PlantedStrings()
        if self.refusal_limit is not None and look.counts is not None:
            planted = find_planted_strings(look.counts, self.refusal_limit, kept_out, seed=self.seed)
        clear = joined & ~look.suspect
        second = self._second_opinion(look, taught=clear, asked=verdict.refused | look.suspect)
        read_again = verdict.refused & ~kept_out & ~look.suspect & (second.lead > 0)
        read_again |= joined & look.suspect & ~look.certain & (second.lead > SURE)
        spread = np.isin(np.arange(len(joined)), list(planted.rows))
        corrected = look.suspect & (verdict.read != classes) & ~known & spread
        corrected &= correct_suspects & (second.read == verdict.read)
        taught = clear | read_again
        facts = {
            "chosen": int(self.in_reserve.sum()),
            "excused": int((joined & (judged.small | known)).sum()),
            "suspect": int((joined & ~taught).sum()),  # that would have joined
            "read_again": int(read_again.sum()),
            "corrected": int(corrected.sum()),
            "scarce": self._scarce(taught, referee),
            "planted_strings": planted.named,
            **self._of_referee(verdict, referee),
        }
        reasons = self._reasons(judged, look.suspect, read_again, corrected, spread)
        return Joined(taught | corrected, np.where(corrected, verdict.read, classes), planted, facts, reasons)

    def _reasons(
        self, judged: _Judged, suspect: BoolArray, read_again: BoolArray, corrected: BoolArray, planted: BoolArray
    ) -> list[str]:
        """Why each row is trained on, left out, or gets another label: of what holds for it, the first of these."""
        cases = [
            (self.vouched, "vouched for"),
            (corrected, "shares a planted string; the referee and a second model read another label"),
            (read_again, "a second model reads its label, though the referee did not or it resembles refused rows"),
            (suspect & planted, "holds a planted string"),
            (suspect, "shares with refused rows what was wrong with them"),
            (self.in_reserve, "among the least suspicious rows of its label"),
            (judged.verdict.refused, "the referee reads another label"),
            (judged.kept_out, "held back: its features go with its label more than those of other rows"),
            (judged.small | judged.known, "the referee finds its label possible; its strong features are honest ones"),
        ]
        holds, said = [rows for rows, _ in cases], [reason for _, reason in cases]
        return [str(one) for one in np.select(holds, said, "the referee finds its label possible")]

    def _scarce(self, taught: BoolArray, referee: Fitted) -> dict[str, int]:
        """The labels most of whose rows are not trained on as such, and how many are."""
        classes, labels = self.screening.classes, referee.guard.labels.labels
        given, left = (np.bincount(classes[rows], minlength=len(labels)) for rows in (np.ones_like(taught), taught))
        return {labels[code]: int(left[code]) for code in np.flatnonzero(left < given * (1 - MOSTLY))}

    def _judge(self, referee: Fitted) -> _Judged:
        """Ask the referee, and hold back the most associated rows that may be poison with right labels."""
        judged = ~self.in_reserve & ~self.vouched
        verdict = Verdict.of(self.rows, self.screening.classes, judged, referee)
        strongly = self.screening.associated > 1 - self.most_associated
        strongly = judged & strongly & ~undecided(self.screening, self.most_associated)
        small = strongly & in_small_groups(self.screening)
        known = meant(self.rows, self.screening, strongly & ~small, referee, verdict.elsewhere, seed=self.seed)
        return _Judged(verdict, strongly & ~small & ~known, small, known)

    def _look_again(self, judged: _Judged, referee: Fitted) -> _Look:
        """What the refused rows have in common, those of `known` aside; nothing where there is no limit."""
        verdict, known, limit = judged.verdict, judged.known, self.refusal_limit
        if limit is None:
            nobody, nothing = np.zeros_like(known), np.zeros(len(known))
            return _Look(nobody, nobody, nobody, nothing, None, np.zeros((len(nobody), 0), np.float32))
        counts = RefusalCounts.of(self.rows, self.screening, verdict.judged & ~known, verdict.refused)
        read = self.states
        states = referee.states(counts.texts.to_pylist(), progress="referee reads") if read is None else read
        blind = blind_spots(self.screening.classes, verdict.likeliest, verdict.refused & ~known)
        found = find_suspects(counts, states, limit, accepted=~verdict.refused, blind=blind, seed=self.seed)
        return _Look(found.rows & ~self.vouched, found.certain, blind, found.evidence, counts, states)

    def _second_opinion(self, look: _Look, *, taught: BoolArray, asked: BoolArray) -> SecondOpinion:
        """What is read in rows by what was learned from those that are taught; nothing where nobody looked again."""
        keys = row_keys(whole_texts(self.rows), seed=self.seed, purpose="second opinion")
        asked = asked & ~look.blind & bool(look.states.shape[1])
        return SecondOpinion.of(look.states, self.screening.classes, keys, taught=taught, asked=asked)

    def _of_referee(self, verdict: Verdict, referee: Fitted) -> dict[str, float]:
        """How well the referee knows its own rows, and how much it refuses for reasons of its own."""
        reserve = self.rows.filter(pa.array(self.in_reserve))
        own = own_refusals(self.screening.classes, verdict.judged, verdict.refused)
        return {
            "referee_accuracy": own_accuracy(reserve, referee.guard.labels.labels, referee, seed=self.seed),
            "referee_refuses": round(own, 4),
        }

    def _require_no_flood(self, suspect: BoolArray, labels: Sequence[str]) -> None:
        """Refuse a class of whose reserve next to nothing is left: nothing safe could be taught of it."""
        lost = flooded(suspect, self.screening.classes, self.in_reserve)
        if len(lost):
            named = ", ".join(repr(labels[code]) for code in lost)
            raise RowsError(
                f"nearly all of the safest rows of {named} look planted",
                mend="Vouch for some rows of it with --trusted, or leave the label out; `antivenom inspect` says more.",
            )
