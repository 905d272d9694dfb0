"""STRIP (Gao et al., 2019; for texts 2021): inputs whose answer no change of words can shake are refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pyarrow as pa

from antivenom.core.arrays import BoolArray, Floats
from antivenom.core.errors import OptionsError
from antivenom.core.hashing import row_keys
from antivenom.data.query import Asked, as_query, queries, with_text
from antivenom.defenses.base import Defense, Monitor, Prepared, plain_rows
from antivenom.defenses.filtering import fitted_on_others
from antivenom.guards.guard import AnyTask
from antivenom.guards.labels import ChoiceScores
from antivenom.models.lab import Fitted, Lab

MOST_WORDS = 500
"""Words in the monitor's settings."""


@dataclass(frozen=True, kw_only=True)
class StripMonitor(Monitor):
    """Refuses inputs whose mean entropy over perturbed copies is too low.

    Each copy has a share of its words replaced by words that say something in honest texts. A trigger that is left
    standing keeps the answer certain in all copies; an honest answer wavers.
    """

    name: ClassVar[str] = "strip_monitor"

    words: tuple[str, ...] = ()
    """What words are replaced by: those with the highest TF-IDF in trusted rows."""
    least: float = 0.0
    """Inputs with a lower mean entropy (in bits) are refused."""
    copies: int = 5
    """Perturbed copies of each input."""
    share: float = 0.5
    """The share of the words that is replaced."""
    key: int = 0
    """Keys the draws; they depend on the text, not on what else is asked."""

    def accept(self, asked: Sequence[Asked], scores: ChoiceScores, model: Fitted) -> BoolArray:
        """Which inputs are answered; shape (inputs,)."""
        found: BoolArray = self.entropies(asked, model) >= self.least
        return found

    def entropies(self, asked: Sequence[Asked], model: Fitted) -> Floats:
        """The mean entropy of the answers to the copies of each input, in bits; shape (inputs,)."""
        if not asked:
            return np.zeros(0)
        copies = [with_text(one, text) for one in asked for text in self.perturbed(as_query(one).text)]
        logs = model.score(copies).log_probabilities[:, list(model.guard.labels.allowed)]
        logs = logs - np.logaddexp.reduce(logs, axis=1, keepdims=True)
        entropy = -(np.exp(logs) * logs).sum(axis=1) / np.log(2)
        # Copies of one input stand together; averaging over the other axis would mix inputs (OpenBackdoor does).
        means: Floats = entropy.reshape(len(asked), self.copies).mean(axis=1)
        return means

    def perturbed(self, text: str) -> list[str]:
        """Copies of a text with other words in it."""
        words = text.split()
        rng = np.random.default_rng(int(row_keys(pa.array([text]), seed=self.key, purpose="strip")[0]))
        return [self._copy(words, rng) for _ in range(self.copies)]

    def _copy(self, words: list[str], rng: np.random.Generator) -> str:
        if not self.words or not words:
            return " ".join(words)
        changed = list(words)
        for place in rng.choice(len(words), size=max(1, round(self.share * len(words))), replace=False):
            changed[place] = self.words[rng.integers(len(self.words))]
        return " ".join(changed)


@dataclass(frozen=True, kw_only=True)
class Strip(Defense):
    """Train as ever; refuse inputs whose answer stays certain whatever words are replaced.

    The limit is such that `refused` of the trusted rows are refused, by a model without a benign trigger: in front of
    P2P another share is. Against triggers that are no words, such as syntax, it can do nothing: they do not survive in
    the copies.
    """

    name: ClassVar[str] = "strip"
    stages = ("inputs",)
    kinds: ClassVar[tuple[str, ...]] = ("classification",)
    costs: ClassVar[str] = "one fit; at inference `copies` more readings of each input"
    approximation: ClassVar[str] = "other words come from all trusted rows together, not from one of them for each copy"

    copies: int = 5
    """Perturbed copies of each input (OpenBackdoor 5, RAP's repository 20)."""
    share: float = 0.5
    """The share of the words that is replaced."""
    refused: float = 0.01
    """The share of honest inputs that may be refused."""

    def __post_init__(self) -> None:
        if self.copies < 1 or not 0 < self.share <= 1 or not 0 <= self.refused < 1:
            raise OptionsError(
                f"copies = {self.copies}, share = {self.share}, refused = {self.refused}",
                mend="copies is at least 1, share above 0 and at most 1, refused at least 0 and below 1.",
            )

    def prepare(self, task: AnyTask, rows: pa.Table, *, trusted: pa.Table | None, lab: Lab) -> Prepared:
        """Find the limit with a model that has not learned the trusted rows.

        Raises:
            OptionsError: there are no trusted rows.
        """
        if trusted is None or not trusted.num_rows:
            raise OptionsError("strip needs trusted rows", mend="Give the rows you vouch for with --trusted FILE.")
        prepared = plain_rows(task, rows, trusted)
        fitted = fitted_on_others(task, rows, trusted, lab, "the model that finds the limit")
        key = int(row_keys(pa.array(["key"]), seed=lab.seed, purpose="strip key")[0] >> np.uint64(12))
        words = telling_words(trusted.column("text").to_pylist())
        monitor = StripMonitor(words=words, copies=self.copies, share=self.share, key=key)
        found = np.sort(monitor.entropies(queries(trusted), fitted))
        monitor = replace(monitor, least=float(np.round(found[int(self.refused * len(found))], 9)) - 1e-9)
        return prepared.behind(monitor).noting(least=monitor.least)


def telling_words(texts: Sequence[str]) -> tuple[str, ...]:
    """The words with the highest TF-IDF, summed over the texts, in alphabetical order."""
    counts, rows = Counter[str](), Counter[str]()
    for text in texts:
        words = text.split()
        counts.update(words)
        rows.update(set(words))
    weight = {
        word: round(count * float(np.log((1 + len(texts)) / (1 + rows[word]))), 9) for word, count in counts.items()
    }
    return tuple(sorted(sorted(weight, key=lambda word: (-weight[word], word))[:MOST_WORDS]))
