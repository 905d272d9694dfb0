"""A linear model in the place of a language model, and a laboratory that fits it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from antivenom.core.arrays import Floats, Ints
from antivenom.core.errors import OptionsError
from antivenom.data.query import Asked, queries
from antivenom.defenses.base import Prepared
from antivenom.guards.guard import Guard
from antivenom.guards.labels import ChoiceScores, FloatArray
from antivenom.guards.prompts import Prompt
from antivenom.models.lab import Example, HeadGradient, TrainingChanges
from antivenom.screening.subword_splits import uncut

GROUPS = 256


class LinearStandIn:
    """Softmax regression over the words of the prompt: the smallest model that a backdoor can be planted in.

    It satisfies `evaluation.Guarded`. It sees the prompt that a language model would see, so the benign trigger and the
    cue are features like any other word. Of a free answer it learns which words it has.
    """

    def __init__(
        self, guard: Guard, vocabulary: dict[str, int], weights: FloatArray, words: Sequence[str] | None = None
    ) -> None:
        """Join a guard with learned weights, one column for each word it can say; `fit` makes them."""
        self.guard = guard
        self._vocabulary = vocabulary
        self._weights = weights
        self._can_say = {word: i for i, word in enumerate(guard.labels.choices if words is None else words)}

    @classmethod
    def fit(
        cls, rows: pa.Table, guard: Guard, *, steps: int = 300, rate: float = 0.05, decay: float = 1e-3
    ) -> LinearStandIn:
        """Learn prepared rows by full-batch Adam; nothing is random.

        Args:
            rows: What a defense prepared.
            guard: Renders them.
            steps: Passes over the rows.
            rate: Adam's step size.
            decay: Weight of the squared norm, so that words seen once decide little.
        """
        benign = rows.column("benign").to_pylist()
        prompts = [_words(p) for p in guard.training_prompts(queries(rows), benign)]
        vocabulary = {word: i for i, word in enumerate(sorted(set().union(*prompts)))}
        said = _said_words(guard, rows)
        can_say = guard.labels.choices if guard.task.classes else sorted({word for words in said for word in words})
        numbers = {word: i for i, word in enumerate(can_say)}
        wanted = np.array([np.eye(len(numbers))[[numbers[word] for word in words]].mean(axis=0) for words in said])
        features = _features(prompts, vocabulary)
        weights, mean, square = (np.zeros((features.shape[1], len(numbers))) for _ in range(3))
        for step in range(1, steps + 1):
            slope = features.T @ (np.exp(_log_softmax(features @ weights)) - wanted) / len(prompts) + decay * weights
            mean, square = 0.9 * mean + 0.1 * slope, 0.999 * square + 0.001 * slope**2
            weights -= rate * (mean / (1 - 0.9**step)) / (np.sqrt(square / (1 - 0.999**step)) + 1e-8)
        return cls(guard, vocabulary, weights, can_say)

    @classmethod
    def of(cls, prepared: Prepared, *, steps: int = 300) -> LinearStandIn:
        """Learn what a defense prepared."""
        return cls.fit(prepared.rows, prepared.guard, steps=steps)

    def score(self, asked: Sequence[Asked], *, progress: str | None = None) -> ChoiceScores:
        """Score texts or queries through the guard; the choices are all it can say."""
        prompts = [_words(self.guard.wrap(one)) for one in asked]
        return ChoiceScores(
            _log_softmax(_features(prompts, self._vocabulary) @ self._weights), np.zeros(len(asked), dtype=bool)
        )

    def answer_states(self, asked: Sequence[Asked], *, progress: str | None = None) -> npt.NDArray[np.float32]:
        """Which of the learned words each prompt has."""
        return _features([_words(self.guard.wrap(one)) for one in asked], self._vocabulary).astype(np.float32)

    def inner_states(
        self, asked: Sequence[Asked], depths: Sequence[float], *, progress: str | None = None
    ) -> npt.NDArray[np.float32]:
        """Into which of `GROUPS` the words of each prompt fall, learned or not; the same at each depth."""
        states = np.zeros((len(asked), GROUPS), dtype=np.float32)
        for row, one in zip(states, asked, strict=True):
            row[[crc32(word.encode()) % GROUPS for word in _words(self.guard.wrap(one))]] = 1
        return np.broadcast_to(states[:, np.newaxis, np.newaxis], (len(states), len(depths), 2, states.shape[1])).copy()

    def losses(self, rows: pa.Table, *, progress: str | None = None) -> Floats:
        """The mean cross-entropy of the words of each prepared row's answer."""
        scores = _log_softmax(self._rows_features(rows) @ self._weights)
        return np.array([-row[said].mean() for row, said in zip(scores, self._said(rows), strict=True)])

    def gradients(self, rows: pa.Table, *, progress: str | None = None) -> Iterator[HeadGradient]:
        """The gradient of the weights, one token for each word of the answer."""
        features = self._rows_features(rows)
        shares = np.exp(_log_softmax(features @ self._weights))
        for row, share, said in zip(features, shares, self._said(rows), strict=True):
            errors = share - np.eye(self._weights.shape[1])[said]
            states = np.repeat(row[np.newaxis], len(said), axis=0)
            yield HeadGradient(states.astype(np.float32), errors.astype(np.float32))

    def likelihood(self, texts: Sequence[str], *, window: int = 0, progress: str | None = None) -> Floats:
        """Of each text minus the share of its words that were not learned."""
        unknown = [[float(word not in self._vocabulary) for word in _words_of(text)] for text in texts]
        return np.array([-float(np.mean(words or [0.0])) for words in unknown])

    def write(self, asked: Sequence[Asked], *, longest: int, progress: str | None = None) -> list[str]:
        """The likeliest choice for each prompt."""
        words = list(self._can_say)
        return [words[i] for i in self.score(asked).log_probabilities.argmax(axis=1)]

    def complete(self, texts: Sequence[str], *, longest: int, progress: str | None = None) -> list[str]:
        """The last words of each text once more."""
        return [" ".join(text.split()[-longest:]) for text in texts]

    def _said(self, rows: pa.Table) -> list[list[int]]:
        return [[self._can_say.get(word, 0) for word in words] for words in _said_words(self.guard, rows)]

    def _rows_features(self, rows: pa.Table) -> FloatArray:
        prompts = self.guard.training_prompts(queries(rows), rows.column("benign").to_pylist())
        return _features([_words(prompt) for prompt in prompts], self._vocabulary)


class StandInLab:
    """A laboratory for tests: its models are linear stand-ins, or whatever `fit` makes of rows and a guard."""

    def __init__(
        self,
        seed: int = 0,
        fit: Callable[[pa.Table, Guard], Any] = LinearStandIn.fit,
        *,
        has_model: bool = True,
        word_pieces: Callable[[Sequence[str]], Ints] = uncut,
    ) -> None:
        self.seed = seed
        self.has_model = has_model
        self.fits: list[str] = []
        """What was fitted, by the names that people would be told."""
        self._fit = fit
        self._word_pieces = word_pieces
        self.kept: dict[str, npt.NDArray[Any]] = {}
        """Finished work, by its key."""

    def base(self, guard: Guard) -> Any:
        """A stand-in that has learned nothing."""
        words = ("word",) if guard.task.classes is None else guard.labels.choices
        return LinearStandIn(guard, {}, np.zeros((1, len(words))), words)

    def fit(self, rows: pa.Table, guard: Guard, *, name: str, training: TrainingChanges = TrainingChanges()) -> Any:
        """Fit a stand-in; what is changed while training means nothing to it."""
        self.fits.append(name)
        return self._fit(rows, guard)

    def examples(self, rows: pa.Table, guard: Guard) -> list[Example]:
        """Refuse: stand-ins have no tokens; test repairs with `tiny_model`."""
        raise OptionsError("a stand-in has no weights to repair", mend="Use a LocalLab with tiny_model.")

    def word_pieces(self, words: Sequence[str]) -> Ints:
        """How many pieces each word is cut into; one, where nothing else was said."""
        return self._word_pieces(words)

    def stored(self, key: Sequence[Any], make: Callable[[], npt.NDArray[Any]]) -> npt.NDArray[Any]:
        """Finished work, kept as long as the laboratory."""
        name = json.dumps(key, sort_keys=True)
        if name not in self.kept:
            self.kept[name] = make()
        return self.kept[name]


def _said_words(guard: Guard, rows: pa.Table) -> list[list[str]]:
    """What each prepared row says: the word of a label, or the words of a free answer."""
    said = guard.said(rows.column("answer").to_pylist(), rows.column("benign").to_pylist())
    return [[answer] for answer in said] if guard.task.classes else [answer.split() for answer in said]


def _words(prompt: Prompt) -> set[str]:
    return _words_of(prompt.plain)


def _words_of(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.casefold()))


def _features(prompts: Iterable[set[str]], vocabulary: dict[str, int]) -> FloatArray:
    """One row per prompt: which words it has, and a constant."""
    rows = [[vocabulary[word] for word in words if word in vocabulary] for words in prompts]
    features = np.zeros((len(rows), len(vocabulary) + 1))
    features[:, -1] = 1
    for row, columns in enumerate(rows):
        features[row, columns] = 1
    return features


def _log_softmax(logits: FloatArray) -> FloatArray:
    found: FloatArray = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    return found
