"""The label map h: i -> i+n, the projection pi: i+n -> i, and what a model's scores say through them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from antivenom.core.errors import OptionsError
from antivenom.core.options import Options
from antivenom.tasks.task import Classification, require_distinct

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class LabelMap(Options):
    """Which words the model may say, and which label each of them means.

    For P2P the choices are the n base verbalizers followed by the n extended ones; only the extended are allowed when
    serving, and choice i means label i mod n (the projection pi). Undefended, the choices are the n base verbalizers.
    """

    labels: tuple[str, ...]
    """The label names that clients see."""
    choices: tuple[str, ...]
    """Every verbalizer whose probability is read."""
    allowed: tuple[int, ...]
    """The choices an answer is taken from when serving."""
    meaning: tuple[int, ...]
    """For each choice, the number of its label."""

    def __post_init__(self) -> None:
        require_distinct(self.choices, "verbalizers")
        n, choices = len(self.labels), range(len(self.choices))
        # Only where no choice is added may the labels' own words be permuted, as PDB does.
        own = sorted(self.meaning) if len(choices) == n else list(self.meaning[:n])
        fits = len(self.meaning) == len(choices) and own == list(range(n))
        fits = fits and all(m in range(n) for m in self.meaning) and all(c in choices for c in self.allowed)
        if not fits or sorted(self.meaning[c] for c in self.allowed) != list(range(n)):
            raise OptionsError("the label map does not give every label exactly one allowed verbalizer")

    @classmethod
    def identity(cls, task: Classification) -> LabelMap:
        """The map of a model without a defense: each label has its own verbalizer."""
        numbers = tuple(range(len(task.labels)))
        return cls(task.labels, task.verbalizers, numbers, numbers)

    @classmethod
    def extended(cls, task: Classification) -> LabelMap:
        """The map of P2P: h(i) = i + n."""
        n = len(task.labels)
        return cls(task.labels, task.verbalizers + task.extended, tuple(range(n, 2 * n)), (*range(n), *range(n)))

    def encode(self, label: str) -> str:
        """h: the verbalizer that stands for `label` under the benign trigger.

        Raises:
            ValueError: there is no such label.
        """
        number = self.labels.index(label)
        return next(self.choices[c] for c in self.allowed if self.meaning[c] == number)

    def plain(self, label: str) -> str:
        """The ordinary verbalizer of `label`, without the benign trigger."""
        return self.choices[self.labels.index(label)]


@dataclass(frozen=True)
class ChoiceScores:
    """What a model says to many prompts, as far as anybody reads it."""

    log_probabilities: FloatArray
    """Natural log-probability of each choice over the full vocabulary; shape (prompts, choices)."""
    other: npt.NDArray[np.bool_]
    """Whether some token that begins no choice is the model's most likely next one; shape (prompts,)."""
    refused: npt.NDArray[np.bool_] | None = None
    """Inputs that a monitor refused, which get no answer; none where nothing was refused."""

    def __len__(self) -> int:
        return len(self.other)


@dataclass(frozen=True)
class Reading:
    """One answer as the guard reads it."""

    answer: str
    """The label, in the client's words."""
    probability: float
    """Its share among the allowed choices."""
    escape: float
    """Probability mass outside the allowed choices: high values say that something pulls the model away."""
    extended: bool
    """Whether the model's most likely output over the full vocabulary was an allowed choice."""
    cut: bool = False
    """Whether the text was too long, so that its end or earlier turns were not read."""
    refused: bool = False
    """Whether a monitor refused the input; then the answer is empty."""

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return vars(self)


@dataclass(frozen=True)
class Readings:
    """The readings of many prompts as columns; every rate of an evaluation is computed from these."""

    deployed: IntArray
    """Label after restriction to the allowed choices: what a client gets; -1 where the input was refused."""
    probability: FloatArray
    """Share of that label among the allowed choices."""
    escape: FloatArray
    """Mass outside the allowed choices."""
    output: IntArray
    """The most likely choice over the full vocabulary, -1 if it is none of them (unreadable)."""
    projected: IntArray
    """Label that `output` means, -1 if unreadable."""
    inside: npt.NDArray[np.bool_]
    """Whether `output` is an allowed choice."""

    def __len__(self) -> int:
        return len(self.deployed)


def read_scores(scores: ChoiceScores, labels: LabelMap) -> Readings:
    """Read scores through a label map. Rows are independent; an empty batch gives empty readings."""
    logs = scores.log_probabilities.reshape(len(scores), len(labels.choices))
    allowed, meaning = np.array(labels.allowed), np.array(labels.meaning)
    inner = logs[:, allowed]
    best = inner.argmax(axis=1) if len(scores) else np.zeros(0, dtype=np.int64)
    mass = np.exp(inner).sum(axis=1)
    rows = np.arange(len(scores))
    output = np.where(scores.other, -1, logs.argmax(axis=1) if len(scores) else best)
    deployed = meaning[allowed[best]]
    return Readings(
        deployed=deployed if scores.refused is None else np.where(scores.refused, -1, deployed),
        probability=np.exp(inner[rows, best] - np.logaddexp.reduce(inner, axis=1)),
        escape=np.clip(1.0 - mass, 0.0, 1.0),
        output=output,
        projected=np.where(output < 0, -1, meaning[output]),
        inside=np.isin(output, allowed),
    )


def shares(scores: ChoiceScores, labels: LabelMap) -> FloatArray:
    """The share of each label among the allowed choices; shape (prompts, labels), rows sum to 1."""
    logs = scores.log_probabilities.reshape(len(scores), len(labels.choices))
    found = np.zeros((len(scores), len(labels.labels)))
    found[:, [labels.meaning[choice] for choice in labels.allowed]] = logs[:, list(labels.allowed)]
    return np.exp(found - np.logaddexp.reduce(found, axis=1, keepdims=True))
