"""Generated adapters: the model begins as its base, learns through its codes, and ends with plain LoRA."""

from __future__ import annotations

import pytest
import torch
from peft import LoraConfig, get_peft_model

from antivenom.core.errors import OptionsError
from antivenom.defenses import parse_defense
from antivenom.models.generated_adapters import generated_adapters
from antivenom.models.local import load_causal_lm
from antivenom.tasks.task import Classification
from antivenom.testing import StandInLab, synthetic_rows
from antivenom.training.lab import LocalLab
from antivenom.training.training_options import TrainingOptions

TASK = Classification.for_labels(("negative", "positive"))
ROWS = synthetic_rows(24)
IDS = torch.tensor([[3, 4, 5, 6]])
CODE, WIDTH = 2, 3


def with_lora(folder):
    model = load_causal_lm(folder).requires_grad_(False)
    return get_peft_model(model, LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM"))


def test_codes_are_all_that_learns_and_plain_lora_is_left(model_folder):
    torch.manual_seed(0)
    base = load_causal_lm(model_folder)(IDS).logits
    model = with_lora(model_folder)
    names = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    numbers = {side: sum(p.numel() for n, p in model.named_parameters() if side in n) for side in ("lora_A", "lora_B")}
    with generated_adapters(model, code=CODE, width=WIDTH):
        assert torch.allclose(model(input_ids=IDS).logits, base, atol=1e-5), "B is 0 at the start"
        learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
        per_side = [CODE + WIDTH * CODE + WIDTH * count for count in numbers.values()]
        assert sum(parameter.numel() for parameter in learning) == sum(per_side)
        optimizer = torch.optim.SGD(learning, lr=0.5)
        for _ in range(3):
            optimizer.zero_grad()
            model(input_ids=IDS).logits.logsumexp(dim=-1).sum().backward()
            optimizer.step()
        inside = model(input_ids=IDS).logits.detach()
        assert not torch.allclose(inside, base, atol=1e-4)
    assert {name for name, parameter in model.named_parameters() if parameter.requires_grad} == names
    assert torch.allclose(model(input_ids=IDS).logits, inside, atol=1e-5)


def test_a_model_without_adapters_is_refused(model_folder):
    with pytest.raises(OptionsError, match="LoRA"), generated_adapters(load_causal_lm(model_folder), code=2, width=2):
        pass


def test_an_artifact_of_generated_adapters_is_an_ordinary_one(model_folder, tmp_path):
    lab = LocalLab(str(model_folder), TrainingOptions(batch_size=8), tmp_path, seed=1, quiet=True)
    scores = {}
    for spec in ("moddef_reparam:epochs=2;learning_rate=0.05", "none"):
        prepared, folder, _ = lab.defended(parse_defense(spec), TASK, ROWS, trusted=None, name=spec.partition(":")[0])
        scores[spec] = lab.load(folder).score(["a film of charm", "dull"]).log_probabilities
        assert (folder / "adapter_model.safetensors").exists()
        assert lab.artifact(prepared, name="again", folder=folder) == folder
    first, second = scores.values()
    assert abs(first - second).max() > 1e-4


def test_options_tell_fits_apart():
    keys = {
        parse_defense(spec).prepare(TASK, ROWS, trusted=None, lab=StandInLab()).training.key
        for spec in ("moddef_reparam", "moddef_reparam:code=3", "moddef_reparam:epochs=1")
    }
    assert len(keys) == 3
