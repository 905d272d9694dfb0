"""Which attacked texts still hold their trigger when the model reads them: a text that is too long loses its end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, get_args, runtime_checkable

import numpy as np
import pyarrow as pa

from antivenom.core.arrays import BoolArray
from antivenom.core.options import Options
from antivenom.data.query import Asked, queries
from antivenom.evaluation.conditions import CLEAN, Condition
from antivenom.evaluation.rates import Rate
from antivenom.guards.rendering import Cut

Survival = Literal["whole", "part", "none"]
"""How much of a trigger is read: all of it, a part, nothing."""
SURVIVALS: tuple[Survival, ...] = get_args(Survival)

COLUMNS = (("cut", pa.bool_()), ("trigger", pa.string()))
"""Columns of stored outputs: whether anything was left out of the prompt, and the `Survival` of the trigger. Both are
null where the model does not say what it left out; `trigger` is null for clean rows too."""


@dataclass(frozen=True)
class TriggerRead(Options):
    """What an attack does where the model reads its trigger: a text that is too long loses its end."""

    whole: int
    """Attacked rows whose trigger was read whole."""
    part: int
    """Attacked rows of whose trigger a part was cut off."""
    none: int
    """Attacked rows of whose trigger nothing was read."""
    asr_deployed: Rate
    """`asr_deployed` over the rows whose trigger was read whole."""
    floor: Rate
    """`floor` over those rows."""
    excess: float | None
    """`asr_deployed` - `floor` over those rows; none when there are none."""

    @property
    def lost(self) -> int:
        """Attacked rows that lost their trigger or a part of it."""
        return self.part + self.none

    @classmethod
    def of(cls, survivals: Sequence[str | None] | None, deployed: BoolArray, without: BoolArray) -> TriggerRead | None:
        """Count over the attacked rows.

        Args:
            survivals: How much of each row's trigger was read (`Survival`); null where that is not known.
            deployed: Whether the deployed answer means t.
            without: Whether the deployed answer to the same row without the trigger does.

        Returns:
            None where it is not known how much was read.
        """
        if survivals is None or None in survivals:
            return None
        whole = np.array([one == "whole" for one in survivals], dtype=bool)
        gained, floor = Rate.of(deployed[whole]), Rate.of(without[whole])
        return cls(
            whole=int(whole.sum()),
            part=list(survivals).count("part"),
            none=list(survivals).count("none"),
            asr_deployed=gained,
            floor=floor,
            excess=gained.minus(floor),
        )


@runtime_checkable
class TellsCuts(Protocol):
    """A model that says what it leaves out of texts that are too long."""

    def cuts(self, asked: Sequence[Asked]) -> list[Cut]:
        """What is left out of every text or query."""
        ...


def survival_columns(model: object, conditions: Sequence[Condition]) -> dict[str, list[Any]]:
    """The columns `COLUMNS` for the rows of all conditions, one behind the other.

    Args:
        model: What reads the rows; nothing is known of one that is not `TellsCuts`.
        conditions: The conditions; the twin of an attack, if it is not the clean rows, stands in front of it.
    """
    asked = [query for condition in conditions for query in queries(condition.rows)]
    if not isinstance(model, TellsCuts):
        return {name: [None] * len(asked) for name, _ in COLUMNS}
    cuts = model.cuts(asked)
    lost = iter(cut.characters for cut in cuts)
    texts = {condition.name: condition.rows.column("text").to_pylist() for condition in conditions}
    triggers: list[Survival | None] = []
    for condition in conditions:
        for text, position in zip(texts[condition.name], condition.positions, strict=True):
            missing = next(lost)
            clean = texts[condition.twin or CLEAN][position]
            triggers.append(survival(text, clean, missing) if condition.target else None)
    return {"cut": [bool(cut) for cut in cuts], "trigger": triggers}


def survival(attacked: str, clean: str, lost: int) -> Survival:
    """How much of the trigger is left of a text whose last characters are not read.

    The trigger is taken to be what stands between the longest common beginning and the longest common end of the text
    with it and the text without it; for attacks that rewrite a whole text that is nearly all of it.

    Args:
        attacked: The text with the trigger.
        clean: The same text without it.
        lost: How many characters at the end of `attacked` are not read.
    """
    if not lost or attacked == clean:
        return "whole"
    kept = len(attacked) - lost
    start = _common_start(attacked, clean)
    behind = _common_start(attacked[start:][::-1], clean[start:][::-1])
    if kept >= len(attacked) - behind:
        return "whole"
    return "part" if kept > start else "none"


def _common_start(text: str, other: str) -> int:
    """How many characters two texts have in common at their beginning."""
    pairs = zip(text, other, strict=False)
    return next((number for number, (a, b) in enumerate(pairs) if a != b), min(len(text), len(other)))
