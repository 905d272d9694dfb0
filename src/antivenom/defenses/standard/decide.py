"""Which rows join the reserve once a referee was asked about them, and which leave it or get another label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from antivenom.core.arrays import BoolArray, Floats, States
from antivenom.core.errors import RowsError
from antivenom.core.hashing import row_keys
from antivenom.data.query import whole_texts
from antivenom.defenses.standard.disagreement import Suspects, find_suspects, flooded
from antivenom.defenses.standard.held_back import held_back
from antivenom.defenses.standard.referee import Referee
from antivenom.defenses.standard.refusals import RefusalCounts
from antivenom.screening.ranking import ranks
from antivenom.screening.screen import Screening, least_suspicious

LEADS = 0.3
"""A row that looks like refused ones comes back only where its label leads by so much. One in two honest ones does, and
one in eleven of the attacker's; at 0, three in four and one in four (research/log.md)."""
MOSTLY = 0.5
"""A label that loses a larger share of its rows than this is named."""


@dataclass(frozen=True)
class Joined:
    """What was decided."""

    rows: BoolArray
    """Which rows to train on, those of the reserve among them."""
    facts: dict[str, Any]
    """The counts for the manifest."""
    reasons: list[str]
    """Why, for each row."""


@dataclass(frozen=True)
class _Look:
    """What a referee refused, and what the second screen found in it."""

    refused: BoolArray
    """Of the rows outside the reserve those whose label the referee does not find possible."""
    held_back: BoolArray
    """Those that do not join whatever it says (`held_back.py`)."""
    suspects: Suspects
    """Rows, of the reserve too, that share with refused ones what was wrong with them."""


def more_suspicious(screening: Screening, evidence: Floats, refused: BoolArray) -> Screening:
    """What a screen saw, with each row as suspicious as it says or as its evidence ranks within its class.

    Args:
        screening: What it saw.
        evidence: How much each row shares with refused ones (`Suspects.evidence`).
        refused: These; they are more suspicious than any other.
    """
    suspicion = np.maximum(screening.suspicion, ranks(evidence, screening.classes, ties="min"))
    return replace(screening, suspicion=np.where(refused, np.inf, suspicion))


@dataclass(frozen=True)
class Joining:
    """The rows, and what is known of them before a referee is asked."""

    rows: pa.Table
    screening: Screening
    """What the screen saw in them."""
    states: States
    """What the untouched model makes of their texts; shape (rows, width)."""
    in_reserve: BoolArray
    """What the referee is taught."""
    vouched: BoolArray
    """Trusted rows: always kept, never asked about."""
    labels: Sequence[str]
    """By their numbers in the screening."""
    most_associated: float
    """See `Standard.most_associated`."""
    refusal_limit: float
    """See `Standard.refusal_limit`."""
    seed: int
    """The run's secret seed: keys every draw and fold."""

    def referee(self, taught: BoolArray) -> Referee:
        """What a linear model that was taught some rows reads in all."""
        keys = row_keys(whole_texts(self.rows), seed=self.seed, purpose="referee")
        return Referee.of(self.states, self.screening.classes, len(self.labels), keys, taught)

    def choose_again(self, *, ratio: float, least: int) -> BoolArray:
        """Choose the reserve once more: of the rows that its referee does not refuse, the least suspicious ones.

        A row is as suspicious as the screen says, or as what it shares with refused rows makes it, if that is more
        (both as ranks within its class). Poison that nothing gave away to the screen taught the first referee its
        trigger, and the second screen finds it in the reserve too; the second referee is hardly taught it.

        Args:
            ratio: The share of each class that the reserve takes.
            least: See `Standard.least_rows`.
        """
        look = self._look(self.referee(self.in_reserve))
        screening = more_suspicious(self.screening, look.suspects.evidence, look.refused)
        chosen = least_suspicious(self.rows, screening, ratio, avoid=self.most_associated, least=least, seed=self.seed)
        return chosen | self.vouched

    def decide(self) -> Joined:
        """Decide which rows to train on.

        Raises:
            RowsError: a class is flooded with poison.
        """
        classes, referee = self.screening.classes, self.referee(self.in_reserve)
        look = self._look(referee)
        suspect = look.suspects.rows & ~self.vouched
        self._require_no_flood(suspect)
        joined = ~look.refused & ~look.held_back
        clear = joined & ~suspect
        leads = self.referee(clear).leads(classes)
        read_again = look.refused & ~look.held_back & ~suspect & (leads > 0)
        read_again |= joined & suspect & ~look.suspects.certain & (leads > LEADS)
        taught = clear | read_again
        facts = {
            "chosen": int(self.in_reserve.sum()),
            "suspect": int((joined & ~taught).sum()),  # that would have joined
            "read_again": int(read_again.sum()),
            "scarce": self._scarce(taught),
            "referee_accuracy": referee.accuracy(classes, self.in_reserve),
        }
        return Joined(taught, facts, self._reasons(look, suspect, read_again))

    def _look(self, referee: Referee) -> _Look:
        """Ask the referee about the rows that it was not taught, and what those have in common that it refuses."""
        judged = ~self.in_reserve & ~self.vouched
        refused = judged & referee.refuses(self.screening.classes)
        counts = RefusalCounts.of(self.rows, self.screening, judged, refused)
        suspects = find_suspects(counts, self.states, self.refusal_limit, accepted=~refused, seed=self.seed)
        return _Look(refused, judged & held_back(self.screening, self.most_associated), suspects)

    def _reasons(self, look: _Look, suspect: BoolArray, read_again: BoolArray) -> list[str]:
        """Why each row is trained on or left out: of what holds for it, the first of these."""
        cases = [
            (self.vouched, "vouched for"),
            (read_again, "a second referee reads its label, though the first did not or it resembles refused rows"),
            (suspect, "shares with refused rows what was wrong with them"),
            (self.in_reserve, "among the least suspicious rows of its label"),
            (look.refused, "the referee reads another label"),
            (look.held_back, "held back: its features go with its label more than those of other rows"),
        ]
        holds, said = [rows for rows, _ in cases], [reason for _, reason in cases]
        found: list[str] = np.select(holds, said, "the referee finds its label possible").tolist()
        return found

    def _scarce(self, taught: BoolArray) -> dict[str, int]:
        """The labels most of whose rows are not trained on as such, and how many are."""
        classes = self.screening.classes
        given, left = (np.bincount(each, minlength=len(self.labels)) for each in (classes, classes[taught]))
        return {self.labels[code]: int(left[code]) for code in np.flatnonzero(left < given * (1 - MOSTLY)).tolist()}

    def _require_no_flood(self, suspect: BoolArray) -> None:
        """Refuse a class of whose reserve next to nothing is left: nothing safe could be taught of it."""
        lost = flooded(suspect, self.screening.classes, self.in_reserve)
        if len(lost):
            named = ", ".join(repr(self.labels[code]) for code in lost)
            raise RowsError(
                f"nearly all of the safest rows of {named} look planted",
                mend="Vouch for some rows of it with --trusted, or leave the label out; `antivenom inspect` says more.",
            )
