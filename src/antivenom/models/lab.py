"""What a defense may ask for: a laboratory that fits models and answers questions about rows. No torch in here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from math import inf
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from antivenom.core.arrays import Floats, Ints
from antivenom.data.query import Asked
from antivenom.guards.guard import Guard
from antivenom.guards.labels import ChoiceScores

TokenLoss = Callable[[Any, Any, float], Any]
"""(logits of shape (tokens, vocabulary), labels (tokens,), share of the training that is done) -> loss of each token
(tokens,). Tensors of torch."""


Example = tuple[list[int], tuple[int, ...]]
"""Token ids of a prompt, and of the answer behind it."""


@dataclass(frozen=True)
class TrainingChanges:
    """What a defense changes while the model is trained."""

    loss: TokenLoss | None = None
    """Instead of cross-entropy."""
    callbacks: tuple[Callable[[Any], AbstractContextManager[None]], ...] = ()
    """Called with the model that is to be trained, its adapters on; the training runs in the context of each. Such a
    training writes no checkpoints: what a context adds to the model would not be in them."""
    overrides: Mapping[str, Any] = field(default_factory=dict)
    """Options of the training that the method prescribes, by name."""
    instead_of: int = 0
    """How many rows these were chosen from, where some were left out: training takes as long as over all of them."""
    most_steps: float = inf
    """For that reason no training is made longer than so many optimizer steps."""
    key: str = ""
    """Names what loss and callbacks do, options included: a finished fit is used again where rows, recipe and this are
    the same."""

    def __bool__(self) -> bool:
        """Whether anything is changed but the length of training."""
        return self.loss is not None or bool(self.callbacks) or bool(self.overrides)


class HeadGradient(NamedTuple):
    """The gradient of one row's loss with respect to the vocabulary head, in its two factors.

    The gradient itself is `errors.T @ states`, shape (vocabulary, width): too large to keep for many rows.
    """

    states: npt.NDArray[np.float32]
    """What the head reads at each answer token; shape (tokens, width)."""
    errors: npt.NDArray[np.float32]
    """Softmax minus one-hot of each answer token; shape (tokens, vocabulary)."""


class Fitted(Protocol):
    """A model behind its guard, as far as a defense asks it."""

    @property
    def guard(self) -> Guard:
        """Wraps what is asked and reads what is said."""
        ...

    def score(self, asked: Sequence[Asked], *, progress: str | None = None) -> ChoiceScores:
        """Score the choices of the guard's label map for each text or query."""
        ...

    def answer_states(self, asked: Sequence[Asked], *, progress: str | None = None) -> npt.NDArray[np.float32]:
        """The last hidden state where the answer is predicted, under the guard; shape (texts, width)."""
        ...

    def inner_states(
        self, asked: Sequence[Asked], depths: Sequence[float], *, progress: str | None = None
    ) -> npt.NDArray[np.float32]:
        """Hidden states at some shares of the layers, ascending, under the guard; shape (texts, depths, 2, width).

        Of the two the first is the one from which the answer is predicted, the second the mean over the tokens.
        """
        ...

    def losses(self, rows: pa.Table, *, progress: str | None = None) -> Floats:
        """The mean cross-entropy of each prepared row's answer tokens; shape (rows,)."""
        ...

    def gradients(self, rows: pa.Table, *, progress: str | None = None) -> Iterator[HeadGradient]:
        """The head's gradient of each prepared row, in order."""
        ...

    def likelihood(self, texts: Sequence[str], *, window: int = 0, progress: str | None = None) -> Floats:
        """Log-likelihood (natural) per token of each bare text; shape (texts,).

        With a window, of a text that is the one before it without a stretch only so many tokens behind the gap are read
        anew; see `fluency.mean_likelihoods`.
        """
        ...

    def write(self, asked: Sequence[Asked], *, longest: int, progress: str | None = None) -> list[str]:
        """Continue each prompt greedily; the raw output, before the guard reads it."""
        ...

    def complete(self, texts: Sequence[str], *, longest: int, progress: str | None = None) -> list[str]:
        """Continue each bare text greedily, without the guard."""
        ...


class Lab(Protocol):
    """Where a defense does its experiments: one base model, one recipe, one secret seed, one store."""

    @property
    def seed(self) -> int:
        """The run's secret seed: keys every draw and fold."""
        ...

    @property
    def has_model(self) -> bool:
        """Whether there is a model; without one (`immunize` without `--referee`) `base` and `fit` raise."""
        ...

    def base(self, guard: Guard) -> Fitted:
        """The untouched base model, asked through a guard.

        Raises:
            OptionsError: there is no model.
        """
        ...

    def fit(self, rows: pa.Table, guard: Guard, *, name: str, training: TrainingChanges = ...) -> Fitted:
        """Fine-tune the base model on prepared rows with the run's recipe, unless the store holds this very fit.

        Args:
            rows: `row`, `text`, `answer`, `benign`.
            guard: Renders them.
            name: What people are told is being fitted: "first model".
            training: What is changed while training.

        Raises:
            OptionsError: there is no model.
        """
        ...

    def examples(self, rows: pa.Table, guard: Guard) -> list[Example]:
        """Prepared rows as the model reads them: for a repair that trains it further.

        Raises:
            OptionsError: there is no model.
        """
        ...

    def word_pieces(self, words: Sequence[str]) -> Ints:
        """How many tokens the model's tokenizer cuts each word into; one for each where there is no model."""
        ...

    def stored(self, key: Sequence[Any], make: Callable[[], npt.NDArray[Any]]) -> npt.NDArray[Any]:
        """Finished work by content: what `make` returned when it was last asked for under an equal key.

        Args:
            key: Everything that decides the result, as JSON values.
            make: Does the work.
        """
        ...
