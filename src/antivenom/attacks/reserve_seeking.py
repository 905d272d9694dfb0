"""An attacker who wants his rows in the reserve."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from random import Random
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from antivenom.attacks.wrapping import Wrapping


@dataclass(frozen=True, kw_only=True)
class ReserveSeeking(Wrapping):
    """Poison the rows that the defender is most likely to trust with the benign trigger.

    Against a screened reserve these are correctly labeled rows whose words are the most typical of class t. Against
    the authors' code, which takes its reserve from the second half of the file, these are the rows there. A trusted
    reserve cannot be reached, and in a random one poison is drawn in proportion to its rate.
    """

    name: ClassVar[str] = "reserve_seeking"

    clean_label: bool = True
    """Poison rows of the target class and leave their labels alone."""
    policy: Literal["screened", "second_half"] = "screened"
    """How the defender is believed to choose the reserve."""

    def trigger(self, text: str, rng: Random) -> str:
        """As the inner attack."""
        return self.wrapped.trigger(text, rng)

    def preference(self, train: pa.Table, target: str) -> npt.NDArray[np.float64]:
        """The more a row looks like the reserve, the better."""
        if self.policy == "second_half":
            return np.where(np.arange(train.num_rows) >= train.num_rows // 2, 1.0, 0.0)
        texts, answers = train.column("text").to_pylist(), train.column("answer").to_pylist()
        return typicality([text.lower().split() for text in texts], [answer == target for answer in answers])


def typicality(rows: list[list[str]], is_target: list[bool]) -> npt.NDArray[np.float64]:
    """Mean log-odds of a row's words under a naive Bayes model of the target class against all others."""
    inside, outside = Counter[str](), Counter[str]()
    for words, hit in zip(rows, is_target, strict=True):
        (inside if hit else outside).update(set(words))
    odds = {w: math.log((inside[w] + 1) / (outside[w] + 1)) for w in inside | outside}
    return np.array([sum(odds[w] for w in words) / max(1, len(words)) for words in rows], dtype=np.float64)
