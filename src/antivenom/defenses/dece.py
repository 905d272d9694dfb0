"""DeCE (Yang et al., 2024): a deceptive cross-entropy that stops a model from becoming certain."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pyarrow as pa

from antivenom.core.errors import OptionsError
from antivenom.defenses.base import Defense, Prepared, plain_rows
from antivenom.guards.guard import AnyTask
from antivenom.models.lab import Lab, TrainingChanges


@dataclass(frozen=True, kw_only=True)
class DeCE(Defense):
    """Train with a loss that believes the labels more and more, so that gradients of what is learned early die away.

    p' = a^e p + (1 - a^e) y', y' being the one-hot label smoothed, e the epoch; the loss is -sum y' log p'. The source
    trains for many epochs. In the one to three of a language model a^e stays near 1 and the loss is nearly the usual
    one, so `epochs` says how many epochs of the source one whole training stands for; e grows with every step.
    """

    name: ClassVar[str] = "dece"
    stages = ("training",)
    approximation: ClassVar[str] = "e grows from 0 to `epochs` step by step, however long the training is"

    base: float = 0.985
    """a."""
    smoothing: float = 0.05
    """The share of y' that is spread over the whole vocabulary."""
    epochs: float = 20.0
    """e at the end of the training."""

    def __post_init__(self) -> None:
        if not 0 < self.base < 1 or not 0 <= self.smoothing < 1 or not self.epochs > 0:
            raise OptionsError(
                f"base = {self.base}, smoothing = {self.smoothing}, epochs = {self.epochs}",
                mend="base lies between 0 and 1, smoothing is at least 0 and below 1, epochs is above 0.",
            )

    def prepare(self, task: AnyTask, rows: pa.Table, *, trusted: pa.Table | None, lab: Lab) -> Prepared:
        """All rows; the loss is another."""
        changes = TrainingChanges(loss=self.loss, key=str(self))
        return replace(plain_rows(task, rows, trusted), training=changes)

    def loss(self, logits: Any, labels: Any, progress: float) -> Any:
        """The loss of each token; see `TokenLoss`."""
        from torch.nn.functional import one_hot

        certainty = self.base ** (self.epochs * progress)
        count = logits.shape[-1]
        smoothed = one_hot(labels, count) * (1 - self.smoothing) + self.smoothing / count
        mixed = certainty * logits.softmax(dim=-1) + (1 - certainty) * smoothed
        return -(smoothed * mixed.clamp_min(1e-30).log()).sum(dim=-1)
