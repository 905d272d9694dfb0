"""What repairs share: the trusted rows as the model is asked about them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from antivenom.core.errors import OptionsError
from antivenom.core.options import require_above_zero
from antivenom.defenses.base import Defense, Prepared, rebuild
from antivenom.guards.guard import AnyTask
from antivenom.models.lab import Example, Lab


class Repair(Defense, ABC):
    """A defense that trains on all rows as ever, and then changes the weights with the help of trusted rows."""

    stages = ("repair",)

    def prepare(self, task: AnyTask, rows: pa.Table, *, trusted: pa.Table | None, lab: Lab) -> Prepared:
        """All rows as they are.

        Raises:
            OptionsError: there are no trusted rows.
        """
        if trusted is None or not trusted.num_rows:
            raise OptionsError(
                f"{self.name} needs trusted rows", mend="Give the rows you vouch for with --trusted FILE."
            )
        return super().prepare(task, rows, trusted=trusted, lab=lab)

    def repair(self, model: Any, task: AnyTask, *, trusted: pa.Table | None, prepared: Prepared, lab: Lab) -> Any:
        """Change the weights; see `change`."""
        assert trusted is not None
        benign = np.full(trusted.num_rows, bool(prepared.guard.secret))  # as they are asked once all is done
        return self.change(model, lab.examples(rebuild(trusted, benign, "replace"), prepared.guard), seed=lab.seed)

    @abstractmethod
    def change(self, model: Any, examples: list[Example], *, seed: int) -> Any:
        """Change the weights of a model, perhaps in place.

        Args:
            model: The trained module, with its adapters, if any.
            examples: The trusted rows: token ids of prompt and answer.
            seed: The run's secret seed.

        Returns:
            The module to save.
        """


@dataclass(frozen=True, kw_only=True)
class Tuning(Repair):
    """A repair that trains on the trusted rows; the defenses differ in what is trained, and with which loss."""

    epochs: int = 3
    """Passes over the trusted rows."""
    learning_rate: float = 2e-4
    """At the start; it falls to 0."""
    batch_size: int = 8
    """Rows of a step."""

    def __post_init__(self) -> None:
        require_above_zero(self, "epochs", "learning_rate", "batch_size")

    def change(self, model: Any, examples: list[Example], *, seed: int) -> Any:
        """Train what `begin` gives with `loss`."""
        return self.tune(self.begin(model, seed=seed), examples, self.loss(), seed=seed)

    def tune(self, model: Any, examples: list[Example], loss: Any, *, seed: int) -> Any:
        """Train a model in place with a loss of a batch, and return it."""
        from antivenom.models.small_tuning import tune

        tune(
            model,
            examples,
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            batch_size=self.batch_size,
            seed=seed,
            loss=loss,
        )
        return model

    def begin(self, model: Any, *, seed: int) -> Any:
        """The model to train: what was trained before, adapters or all weights."""
        return model

    def loss(self) -> Any:
        """The loss of a batch: the mean cross-entropy of the answers."""
        from antivenom.models.small_tuning import answer_loss

        return answer_loss
