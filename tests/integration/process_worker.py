"""One of several processes of a fit, as a launcher starts them: MODEL OUT OPTIONS [shard]."""

from __future__ import annotations

import json
import sys

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


if __name__ == "__main__":
    model, out, options, *how = sys.argv[1:]
    if how == ["shard"]:
        shard_on_cpu()
    train_artifact(prepare(), model=model, out=out, options=TrainingOptions(**json.loads(options)), quiet=True)
