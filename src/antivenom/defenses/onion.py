"""ONION (Qi et al., EMNLP 2021): words without which a text reads better are deleted before the model reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import compress, pairwise
from typing import ClassVar, NamedTuple

import numpy as np
import pyarrow as pa

from antivenom.core.arrays import Floats, Ints
from antivenom.core.errors import OptionsError
from antivenom.data.query import queries, with_text
from antivenom.data.rows import with_columns
from antivenom.data.sampling import label_codes
from antivenom.defenses.base import Defense, Prepared, Purifier, plain_rows
from antivenom.defenses.filtering import fitted_on_others
from antivenom.guards.guard import AnyTask
from antivenom.models.fluency import fluency_of
from antivenom.models.lab import Fitted, Lab

Fluency = Callable[[Sequence[str]], Floats]
"""The mean log-likelihood per token of each text."""
ALLOWED_LOSS = 0.02
"""Of accuracy on trusted rows."""
PERCENTILES = (*range(10, 100, 5), 97, 99)
ALLOWED_DELETIONS = 0.02
"""Of the words of trusted rows, where answers are free and there is no accuracy."""


class Scored(NamedTuple):
    """The words of a text and their suspicion scores."""

    words: list[str]
    scores: Floats

    def without(self, bar: float) -> str | None:
        """The text without the words above the bar, all at once; none where none is, or all are."""
        kept = self.scores <= bar
        return None if kept.all() or not kept.any() else " ".join(compress(self.words, kept))


@dataclass(frozen=True, kw_only=True)
class OnionTexts(Purifier):
    """Deletes the words whose removal lowers a text's perplexity by more than a bar.

    f_i = PPL(text) - PPL(text without word i), words being cut at white space, PPL = exp of the mean negative
    log-likelihood of the tokens. All scores are against the original text, and all words above the bar go at once.
    Texts of one word, and those of which every word would go, stay as they are.
    """

    name: ClassVar[str] = "onion_texts"

    bar: float = 0.0
    """The largest score a word may have."""
    language_model: str = ""
    """The language model: a folder, a hub name or `smollm2`; the model itself, behind its guard, when empty."""
    lower: bool = True
    """Whether texts are scored in lower case; what is kept stays as it is written."""
    piece: int = 64
    """Longer texts are scored in pieces of so many words (OpenBackdoor reads the first 96 tokens alone)."""
    window: int = 0
    """See `Onion.window`."""

    def __post_init__(self) -> None:
        if self.piece < 2 or self.window < 0:
            raise OptionsError(
                f"piece = {self.piece}, window = {self.window}", mend="piece is at least 2 words, window at least 0."
            )

    def purify(self, texts: Sequence[str], model: Fitted) -> list[str]:
        """The texts without their suspicious words."""
        scored = self.scored(texts, self.fluency(model))
        return [one.without(self.bar) or text for text, one in zip(texts, scored, strict=True)]

    def fluency(self, model: Fitted) -> Fluency:
        """What says how likely a text is: the language model that is named, or the model itself."""
        return partial(fluency_of(self.language_model) if self.language_model else model.likelihood, window=self.window)

    def scored(self, texts: Sequence[str], fluency: Fluency) -> list[Scored]:
        """The suspicion score of every word of every text.

        A text comes first, then its variants from the last word to the first: each shares with it what stands before
        the gap, which is read once (`models/likelihood.py`).
        """
        words = [text.split() for text in texts]
        pieces = [list(self._pieces(own)) for own in words]
        flat = [variant for own in pieces for piece in own for variant in self._variants(piece)]
        perplexities = iter(np.exp(-fluency(flat))) if flat else iter(())
        found = []
        for own, parts in zip(words, pieces, strict=True):
            scores = [_differences(perplexities, len(piece)) for piece in parts]
            found.append(Scored(own, np.concatenate([np.zeros(0), *scores])))
        return found

    def _pieces(self, words: list[str]) -> Iterator[list[str]]:
        """As few as there must be, of like lengths: a word that stood alone in one could not be judged."""
        count = -(-len(words) // self.piece)
        cuts = [len(words) * number // max(count, 1) for number in range(count + 1)]
        yield from (words[start:end] for start, end in pairwise(cuts))

    def _variants(self, words: list[str]) -> list[str]:
        if len(words) < 2:
            return []
        shown = [word.lower() for word in words] if self.lower else words
        gaps = range(len(words) - 1, -1, -1)
        return [" ".join(shown), *(" ".join(shown[:i] + shown[i + 1 :]) for i in gaps)]


def _differences(perplexities: Iterator[float], count: int) -> Floats:
    """The score f of each word of a piece; 0 for a word that stands alone."""
    if count < 2:
        return np.zeros(count)
    whole = next(perplexities)
    return whole - np.array([next(perplexities) for _ in range(count)])[::-1]


@dataclass(frozen=True, kw_only=True)
class Onion(Defense):
    """Train as ever; delete suspicious words from every input.

    The bar is the smallest of 0, 1, ..., 100 and of percentiles of the scores of ordinary words at which accuracy on
    trusted rows, which the model that is asked has not learned, stays within 2 points of that on untouched texts. Where
    answers are free, it is the smallest at which at most 2 % of the words of trusted rows go.

    The source uses GPT-2. Scores depend on the language model, so the bar is searched anew for each.
    """

    name: ClassVar[str] = "onion"
    stages = ("inputs",)
    costs: ClassVar[str] = "one fit, and one reading of each text per word of it, at inference too"
    approximation: ClassVar[str] = (
        "the language model is the model itself unless language_model names one such as gpt2; the first word counts, "
        "behind a start token; long texts are scored in pieces; with a window, what stands further behind a deleted "
        "word counts as it is"
    )

    bar: float | None = None
    """The bar; searched on trusted rows when not given."""
    language_model: str = ""
    """See `OnionTexts.language_model`."""
    lower: bool = True
    """See `OnionTexts.lower`."""
    window: int = 0
    """Approximation, where it is not 0: only so many tokens behind a deleted word are read anew, and those further on
    count as likely as in the whole text. Costs less the longer the texts are."""
    train_time: bool = False
    """Whether words are deleted from the training rows as well, with the untouched model's scores. Not the paper's."""

    def prepare(self, task: AnyTask, rows: pa.Table, *, trusted: pa.Table | None, lab: Lab) -> Prepared:
        """Search the bar, and put the purifier into the guard.

        Raises:
            OptionsError: there is neither a bar nor a trusted row to find one with.
        """
        prepared = plain_rows(task, rows, trusted)
        texts = OnionTexts(language_model=self.language_model, lower=self.lower, window=self.window)
        bar = self._search(task, rows, trusted, texts, lab) if self.bar is None else self.bar
        texts = replace(texts, bar=bar)
        if self.train_time:
            purified = texts.purify(prepared.rows.column("text").to_pylist(), lab.base(prepared.guard))
            prepared = replace(prepared, rows=with_columns(prepared.rows, text=purified))
        return prepared.behind(texts).noting(bar=bar, language_model=self.language_model or "the model itself")

    def _search(self, task: AnyTask, rows: pa.Table, trusted: pa.Table | None, texts: OnionTexts, lab: Lab) -> float:
        if trusted is None or not trusted.num_rows:
            raise OptionsError(
                "the bar of onion is searched on trusted rows, and none were given",
                mend="Give rows that you vouch for with --trusted FILE, or a bar: onion:bar=20.",
            )
        fitted = fitted_on_others(task, rows, trusted, lab, "the model that finds the bar")
        scored = texts.scored(trusted.column("text").to_pylist(), texts.fluency(fitted))
        scores = np.concatenate([np.zeros(0), *(one.scores for one in scored)])
        if task.classes is None:
            tried = bars(scores)
            return next((bar for bar in tried if (scores > bar).mean() <= ALLOWED_DELETIONS), tried[-1])
        return lowest_bar(scored, _Accuracy(fitted, trusted, label_codes(trusted, task.classes)))


def bars(scores: Floats) -> list[float]:
    """The bars that are tried, in their order."""
    percentiles = np.round(np.percentile(scores, PERCENTILES), 3) if len(scores) else np.zeros(0)
    return sorted({*map(float, range(101)), *map(float, percentiles[percentiles >= 0])})


def lowest_bar(scored: Sequence[Scored], accuracy: Callable[[Sequence[str | None]], float]) -> float:
    """The smallest bar that costs at most 2 points of accuracy; the largest that was tried where none does.

    Args:
        scored: The words of the trusted texts and their scores.
        accuracy: Of these texts as they are handed over, none standing for an untouched one.
    """
    tried = bars(np.concatenate([np.zeros(0), *(one.scores for one in scored)]))
    least = accuracy([None] * len(scored)) - ALLOWED_LOSS
    return next((bar for bar in tried if accuracy([one.without(bar) for one in scored]) >= least), tried[-1])


class _Accuracy:
    """The share of trusted rows that a model answers rightly; a text is asked about once."""

    def __init__(self, fitted: Fitted, rows: pa.Table, codes: Ints) -> None:
        self._fitted = fitted
        self._asked = queries(rows)
        self._codes = codes
        self._right: dict[tuple[int, str | None], bool] = {}

    def __call__(self, texts: Sequence[str | None]) -> float:
        wanted = [key for key in enumerate(texts) if key not in self._right]
        if wanted:
            asked = [self._asked[i] if text is None else with_text(self._asked[i], text) for i, text in wanted]
            said = self._fitted.guard.columns(self._fitted.score(asked)).deployed
            self._right.update({key: bool(one == self._codes[key[0]]) for key, one in zip(wanted, said, strict=True)})
        return sum(self._right[key] for key in enumerate(texts)) / max(len(texts), 1)
