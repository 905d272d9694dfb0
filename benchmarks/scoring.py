"""(c) scoring clean and attacked prompts against a loop of full-vocabulary passes in batches of 32."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from antivenom.models.batches import pad_left, positions
from antivenom.models.local import LocalModel, load_causal_lm
from antivenom.training import TrainingOptions, _with_lora
from benchmarks.harness import Line, alternate, record
from benchmarks.workload import make_workload

ROWS = 96
BATCH = 32


def run(model: str, rounds: int, folder: Path) -> list[Line]:
    """Measure and record."""
    work = make_workload(model, train=1, test=ROWS)
    prompts, choices = work.prompts(), work.encoder.choices
    torch.manual_seed(0)
    adapted = _with_lora(load_causal_lm(work.folder), TrainingOptions())
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:  # as after training; zero would hide what merging rounds
            torch.nn.init.normal_(parameter, std=0.01)
    torch.manual_seed(0)
    merged = load_causal_lm(work.folder)
    _copy_merged(adapted, merged)
    contenders: dict[str, Callable[[], Callable[[], Any]]] = {
        "loop": lambda: lambda: _loop(adapted, prompts, choices),
        "ours": lambda: lambda: LocalModel(merged).score(prompts, choices).log_probabilities,
    }
    timings = alternate(contenders, rounds)
    gap = float(np.abs(timings.results["loop"] - timings.results["ours"]).max())
    ratio = timings.ratio(lambda s: s["loop"], lambda s: s["ours"])
    beside = f"{len(prompts)} prompts; largest difference of a log-probability {gap:.1e}"
    lines = [Line("c", "scoring against full-vocabulary passes of 32", ratio, ">= 5", beside)]
    record("scoring", lines, timings, {"prompts": len(prompts), "batch": BATCH, "difference": gap}, folder)
    return lines


def _copy_merged(adapted: Any, target: Any) -> None:
    """Put the weights of the base with the adapter added into `target`, as `load_guarded` merges them."""
    for name, module in adapted.get_base_model().named_modules():
        if hasattr(module, "get_delta_weight"):
            place = target.get_submodule(name)
            place.weight.data = module.base_layer.weight.data + module.get_delta_weight("default")


@torch.no_grad()
def _loop(model: Any, prompts: list[list[int]], choices: Any) -> np.ndarray[Any, Any]:
    """What the authors' code does, without its bug of leaving dropout on: rows as they come, logits everywhere."""
    model.eval()
    found = []
    for start in range(0, len(prompts), BATCH):
        ids, mask = pad_left(prompts[start : start + BATCH], torch.device("cpu"))
        logits = model(input_ids=ids, attention_mask=mask, position_ids=positions(mask), use_cache=False).logits
        logs = torch.log_softmax(logits[:, -1].float(), dim=-1)
        found.append(logs[:, [choice[0] for choice in choices]].numpy())
    return np.concatenate(found)
