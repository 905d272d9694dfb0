"""Which rows join the reserve once a referee was asked about them, and which leave it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from antivenom.defenses.base import Referee
from antivenom.defenses.disagreement import suspects
from antivenom.defenses.meaning import in_small_groups, meant, undecided
from antivenom.defenses.referee import agreed, opinions, own_accuracy
from antivenom.defenses.refusals import RefusalCounts, own_refusals
from antivenom.defenses.screen import Screening
from antivenom.defenses.strains import Strains, find_strains
from antivenom.defenses.streams import BoolArray


@dataclass(frozen=True)
class Joined:
    """What was decided."""

    rows: BoolArray
    """Which rows to train on, those of the reserve among them."""
    strains: Strains
    """What looks planted."""
    facts: dict[str, Any]
    """The counts for the manifest."""


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

    def decide(self, referee: Referee, *, most_associated: float, refusal_limit: float | None) -> Joined:
        """Decide which rows to train on.

        Args:
            referee: The model that was fine-tuned on the reserve.
            most_associated: See `P2P.most_associated`.
            refusal_limit: See `P2P.refusal_limit`.
        """
        judged = ~self.in_reserve & ~self.vouched
        agrees = self._agreed(judged, referee)
        strongly = self.screening.associated > 1 - most_associated
        kept_out = judged & strongly & ~undecided(self.screening, most_associated)
        excused = self._excused(kept_out, referee)
        joined = self.in_reserve | self.vouched | (agrees & (~kept_out | excused))
        suspect, strains = np.zeros_like(judged), Strains()
        if refusal_limit is not None:
            counts = RefusalCounts.of(self.rows, self.screening, judged, judged & ~agrees)
            states = referee.states(counts.texts.to_pylist(), progress="referee reads")
            suspect = self._sparing(suspects(counts, states, refusal_limit))
            strains = find_strains(counts, refusal_limit, kept_out & ~excused)
        reserve = self.rows.filter(pa.array(self.in_reserve))
        facts = {
            "chosen": int(self.in_reserve.sum()),
            "excused": int((joined & excused).sum()),
            "suspect": int((joined & suspect).sum()),
            "strains": strains.named,
            "referee_accuracy": own_accuracy(reserve, referee.guard.labels.labels, referee),
            "referee_refuses": round(own_refusals(self.screening.classes, judged, judged & ~agrees), 4),
        }
        return Joined(joined & ~suspect, strains, facts)

    def _agreed(self, judged: BoolArray, referee: Referee) -> BoolArray:
        """The judged rows whose label the referee finds possible."""
        agrees = np.zeros_like(judged)
        opinion = opinions(self.rows.filter(pa.array(judged)), referee)
        agrees[judged] = agreed(opinion, self.screening.classes[judged])
        return agrees

    def _excused(self, kept_out: BoolArray, referee: Referee) -> BoolArray:
        """Those of the most associated rows in which nothing speaks for a trigger."""
        small = kept_out & in_small_groups(self.screening)
        return small | meant(self.rows, self.screening, kept_out & ~small, referee)

    def _sparing(self, suspect: BoolArray) -> BoolArray:
        """The suspect rows, but never all that a class has in the reserve, and none that is vouched for."""
        suspect = suspect & ~self.vouched
        for code in np.unique(self.screening.classes):
            members = self.in_reserve & (self.screening.classes == code)
            if suspect[members].all():
                suspect[members] = False
        return suspect
