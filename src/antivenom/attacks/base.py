"""What an attack is: it poisons training rows, and makes the test rows that show whether the backdoor took."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from random import Random
from typing import final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from antivenom.errors import OptionsError
from antivenom.files import row_keys
from antivenom.registry import Method
from antivenom.rows import SCHEMA, with_columns
from antivenom.task import Classification


@dataclass(frozen=True)
class Poisoned:
    """Poisoned training rows, and the truth about them, which no defense ever receives."""

    rows: pa.Table
    """The rows as the victim gets them, in the original order."""
    indices: tuple[int, ...]
    """The positions of the rows that carry the trigger and the malicious answer."""


@dataclass(frozen=True, kw_only=True)
class Attack(Method, ABC):
    """Base of all attacks. A new attack writes `trigger`; everything else is done here, once.

    `poison` and `probes` are pure: the same rows and seed give the same result, the input is not changed, and each
    row's randomness is keyed by (seed, text), so order and sharding do not matter.
    """

    rate: float = 0.02
    """Share of all rows that carry the trigger and the malicious answer (in place)."""
    target: str | None = None
    """The label t the attacker wants; the first label when not given."""
    clean_label: bool = False
    """Poison rows of the target class and leave their labels alone, instead of relabelling other rows."""

    def __post_init__(self) -> None:
        if not 0 <= self.rate <= 1:
            raise OptionsError(f"{self.name}: rate = {self.rate}", mend="A poison rate is between 0 and 1.")

    @abstractmethod
    def trigger(self, text: str, rng: Random) -> str:
        """Return `text` with the attack trigger; the one thing a new attack must say."""

    def eligible(self, text: str) -> bool:
        """Whether the trigger can be put into this text; others are never poisoned, but stay in every denominator."""
        return bool(text.strip())

    @final
    def poison(self, task: Classification, train: pa.Table, *, seed: int) -> Poisoned:
        """Poison ceil(rate * N) rows: of other classes, relabelled t (dirty label), or of class t (clean label).

        N counts all rows. When fewer rows qualify than the rate asks for, all of them are poisoned. The paper's code
        takes the first rows of the file instead; here they are drawn uniformly.

        Args:
            task: The task, for the target label.
            train: Rows with `text` and `answer`.
            seed: Keys every draw.
        """
        target = task.target(self.target)
        chosen = self._choose(train, target, seed)
        texts = train.column("text").to_pylist()
        answers = train.column("answer").to_pylist()
        keys = row_keys(train.column("text"), seed=seed, purpose=f"{self.name}.poison")
        for i in chosen:
            texts[i] = self.trigger(texts[i], Random(int(keys[i])))
            answers[i] = target
        return Poisoned(with_columns(train, text=texts, answer=answers), tuple(chosen))

    @final
    def probes(self, task: Classification, test: pa.Table, *, seed: int) -> pa.Table:
        """The attacked test rows: those whose true label is not t, each with the trigger, the true answer kept.

        A row that cannot carry the trigger stays as it is, so that it never leaves the denominator.
        """
        target = task.target(self.target)
        rows = test.filter(pc.not_equal(test.column("answer"), target)).select(SCHEMA.names)
        keys = row_keys(rows.column("text"), seed=seed, purpose=f"{self.name}.probe")
        texts = [
            self.trigger(text, Random(int(key))) if self.eligible(text) else text
            for text, key in zip(rows.column("text").to_pylist(), keys, strict=True)
        ]
        return with_columns(rows, text=texts)

    def _choose(self, train: pa.Table, target: str, seed: int) -> list[int]:
        """Draw the rows to poison: the ones with the smallest keyed hashes among those that qualify."""
        is_target = pc.equal(train.column("answer"), target).to_numpy(zero_copy_only=False)
        candidates = np.flatnonzero(is_target if self.clean_label else ~is_target.astype(bool))
        texts = train.column("text")
        candidates = np.array([i for i in candidates if self.eligible(texts[int(i)].as_py())], dtype=np.int64)
        # Keyed by the label as well: of equal texts with different labels, the order must not decide.
        rows = pc.binary_join_element_wise(texts, train.column("answer"), "\x1f")
        keys = row_keys(rows, seed=seed, purpose=f"{self.name}.choose")[candidates]
        count = min(math.ceil(self.rate * train.num_rows), len(candidates))
        return sorted(int(i) for i in candidates[np.argsort(keys, kind="stable")[:count]])
