"""One of several processes of a fit, as a launcher starts them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from antivenom.defenses.none import NoDefense
from antivenom.tasks.task import Classification
from antivenom.testing import StandInLab, synthetic_rows
from antivenom.training.fit import train_artifact
from antivenom.training.training_options import TrainingOptions


def prepare():
    task = Classification.for_labels(("negative", "positive"))
    return NoDefense().prepare(task, synthetic_rows(75), trusted=None, lab=StandInLab(0))


def shard_on_cpu():
    """Let accelerate shard over processes without GPUs: FSDP2 itself can, accelerate only asks for an accelerator."""
    import accelerate.state as state
    import torch
    from accelerate.utils import DistributedType, fsdp_utils

    def set_device(self):
        self.device = torch.device("cpu")

    state.PartialState._prepare_backend = lambda *_, **__: ("gloo", DistributedType.MULTI_XPU)
    state.PartialState.set_device = set_device
    prepare_model = fsdp_utils.fsdp2_prepare_model

    def noted(accelerator, model):
        model = prepare_model(accelerator, model)
        assert all(hasattr(parameter, "full_tensor") for parameter in model.parameters()), "every weight is sharded"
        print("sharded", file=sys.stderr)
        return model

    import accelerate.accelerator

    fsdp_utils.fsdp2_prepare_model = accelerate.accelerator.fsdp2_prepare_model = noted


def work_on(model, out, options, environment, said, shard):
    """What each process does.

    Args:
        model: The folder of the base model.
        out: The folder of the artifact.
        options: Those of training.
        environment: What a launcher sets, and all else.
        said: The file that standard error goes to.
        shard: Whether the weights are spread over the processes.
    """
    with Path(said).open("w", encoding="utf-8") as file:
        os.dup2(file.fileno(), 2)
    os.environ.update(environment)
    if shard:
        shard_on_cpu()
    train_artifact(prepare(), model=model, out=out, options=TrainingOptions(**options), quiet=True)
