"""The loss of every optimizer step: kept with the run, and the end of a run that diverges."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from transformers import TrainerCallback

from antivenom.core.errors import TrainingDivergedError
from antivenom.core.processes import gathered

POINTS = 200
"""The most points of a history; between them losses are averaged."""


class LossHistory(TrainerCallback):
    """Adds the loss of each step to the Trainer's history, which its checkpoints keep, and stops at one not finite."""

    def __init__(self) -> None:
        self._parts: list[torch.Tensor] = []

    def add(self, loss: torch.Tensor) -> None:
        """Note the loss of one pass; those of a step add up to its loss."""
        self._parts.append(loss.detach().float())

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Keep the loss of the step that has ended, the mean over all processes.

        Raises:
            TrainingDivergedError: it is not finite. It is raised before a checkpoint can be written.
        """
        mine = torch.stack(self._parts).sum().item()
        self._parts.clear()
        everywhere = gathered(mine)
        loss = math.fsum(everywhere) / len(everywhere)
        if not math.isfinite(loss):
            raise TrainingDivergedError(f"the loss of step {state.global_step} is {loss}")
        state.log_history.append({"step": state.global_step, "loss": loss})


def loss_curve(history: Sequence[dict[str, float]]) -> list[dict[str, float]]:
    """At most `POINTS` points of a history: the last step of each stretch of equal length and its mean loss.

    Args:
        history: What `LossHistory` has kept; entries without a loss are passed over.
    """
    losses = [entry for entry in history if "loss" in entry]
    length = max(1, math.ceil(len(losses) / POINTS))
    parts = [losses[start : start + length] for start in range(0, len(losses), length)]
    return [
        {"step": part[-1]["step"], "loss": round(math.fsum(one["loss"] for one in part) / len(part), 6)}
        for part in parts
    ]


def require_finite_weights(model: Any) -> None:
    """Refuse a model with a weight or buffer that is not finite, whatever its losses were.

    Raises:
        TrainingDivergedError: names the first such tensor.
    """
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise TrainingDivergedError(f"{name} is not finite after the last step")
