"""Answer length: a control that any filter of free answers has to beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from antivenom.core.arrays import Floats
from antivenom.core.options import check_choices
from antivenom.defenses.base import Defense, Prepared
from antivenom.defenses.filtering import lowest, require_share, without_suspects
from antivenom.guards.guard import AnyTask
from antivenom.models.lab import Lab


@dataclass(frozen=True, kw_only=True)
class AnswerLength(Defense):
    """Leave out the rows whose answers are unusually long or short; nothing else is looked at.

    Published poison for free answers is often longer or shorter than what it hides among: on GraCeFul's WebQA poison
    length alone ranks poisoned rows first with an AUC of 0.87. A filter that does no better has found the length.
    """

    name: ClassVar[str] = "answer_length"
    filters: ClassVar[bool] = True
    kinds: ClassVar[tuple[str, ...]] = ("generation",)

    share: float = 0.05
    """The share of the rows that is left out."""
    side: Literal["both", "long", "short"] = "both"
    """Which answers are unusual: those far from the median on either side, the longest, or the shortest."""

    def __post_init__(self) -> None:
        check_choices(self)
        require_share("share", self.share)

    def prepare(self, task: AnyTask, rows: pa.Table, *, trusted: pa.Table | None, lab: Lab) -> Prepared:
        """Leave out the rows with the most unusual lengths."""
        suspect = lowest(-self.oddness(rows), rows, self.share, seed=lab.seed)
        return without_suspects(task, rows, suspect, trusted, {"share": self.share, "side": self.side})

    def oddness(self, rows: pa.Table) -> Floats:
        """How unusual the length of each answer is: the distance of its logarithm (in characters) from the median."""
        characters = pc.utf8_length(rows.column("answer")).to_numpy().astype(np.float64)
        logs: Floats = np.log1p(characters)
        distance: Floats = logs - (np.median(logs) if len(logs) else 0.0)
        return {"both": np.abs(distance), "long": distance, "short": -distance}[self.side]
