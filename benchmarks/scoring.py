"""(c) scoring clean and attacked prompts against a loop of full-vocabulary passes in batches of 32."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from antivenom.models.batches import pad_left, positions
from antivenom.models.local import LocalModel, load_causal_lm
from antivenom.models.sharing import families, shared_prefix
from antivenom.tasks.task import Frame
from antivenom.training.fit import _with_lora
from antivenom.training.training_options import TrainingOptions
from benchmarks.harness import Line, alternate, record
from benchmarks.workload import make_workload

ROWS = 32
BATCH = 32
INSTRUCTION = "Decide whether this sentence of a film review is negative or positive. Answer with one word."
FRAMES = {"bare prompts": Frame(), "chat with an instruction": Frame(instruction=INSTRUCTION, style="chat")}


def run(model: str, rounds: int, folder: Path) -> list[Line]:
    """Measure and record."""
    works = {name: make_workload(model, train=1, test=ROWS, frame=frame) for name, frame in FRAMES.items()}
    adapted, merged = models(next(iter(works.values())).folder)
    contenders: dict[str, Callable[[], Callable[[], Any]]] = {}
    for name, work in works.items():
        prompts, choices = work.prompts(), work.encoder.choices
        contenders[f"loop, {name}"] = lambda p=prompts, c=choices: lambda: loop(adapted, p, c)
        contenders[f"ours, {name}"] = lambda p=prompts, c=choices: (
            lambda: LocalModel(merged).score(p, c).log_probabilities
        )
    timings = alternate(contenders, rounds)
    lines: list[Line] = []
    settings: dict[str, Any] = {"rows": ROWS, "batch": BATCH}
    for name, work in works.items():
        loop, ours = f"loop, {name}", f"ours, {name}"
        gap = float(np.abs(timings.results[loop] - timings.results[ours]).max())
        saved = bound(work.prompts())
        ratio = timings.ratio(lambda s, n=loop: s[n], lambda s, n=ours: s[n])
        beside = f"multiplications saved: {saved:.2f} times; largest difference of a log-probability {gap:.1e}"
        lines.append(Line("c", f"scoring against full-vocabulary passes of 32, {name}", ratio, ">= 5", beside))
        settings[name] = {"prompts": len(work.prompts()), "difference": gap, "bound": saved}
    record("scoring", lines, timings, settings, folder)
    return lines


def models(folder: Path) -> tuple[Any, Any]:
    """A model with the authors' adapter (on q_proj and v_proj), and the same with the adapter merged."""
    torch.manual_seed(0)
    adapted = _with_lora(load_causal_lm(folder), TrainingOptions(modules=("q_proj", "v_proj")))
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:  # as after training; zero would hide what merging rounds
            torch.nn.init.normal_(parameter, std=0.01)
    merged = load_causal_lm(folder)
    _copy_merged(adapted, merged)
    return adapted, merged


def bound(prompts: list[list[int]]) -> float:
    """How many times more multiplications the loop needs: 106 M per token read, 28 M per column of logits."""
    padded = sum(
        len(batch) * (1 + max(map(len, batch)))
        for batch in (prompts[at : at + BATCH] for at in range(0, len(prompts), BATCH))
    )
    prefix = shared_prefix(prompts)
    found = list(families(prompts, prefix))
    read = sum(len(prompts[f.base]) - prefix + sum(len(prompts[i]) - same for i, same in f.members) for f in found)
    return padded * (106 + 28) / (read * 106 + len(prompts) * 28)


def _copy_merged(adapted: Any, target: Any) -> None:
    """Put the weights of the base with the adapter added into `target`, as `load_guarded` merges them."""
    for name, module in adapted.get_base_model().named_modules():
        if hasattr(module, "get_delta_weight"):
            place = target.get_submodule(name)
            place.weight.data = module.base_layer.weight.data + module.get_delta_weight("default")


@torch.no_grad()
def loop(model: Any, prompts: list[list[int]], choices: Any) -> np.ndarray[Any, Any]:
    """What the authors' code does: rows as they come, the answer behind the prompt, padded in front to the longest row
    of the batch (its limit of 128 tokens cuts rows and pads none), logits everywhere, a cache that nobody reads.
    Without its bug of leaving dropout on."""
    model.eval()
    found = []
    for start in range(0, len(prompts), BATCH):
        rows = [[*prompt, choices[0][0]] for prompt in prompts[start : start + BATCH]]
        ids, mask = pad_left(rows, torch.device("cpu"))
        logits = model(input_ids=ids, attention_mask=mask, position_ids=positions(mask)).logits
        logs = torch.log_softmax(logits[:, -2].float(), dim=-1)
        found.append(logs[:, [choice[0] for choice in choices]].numpy())
    return np.concatenate(found)
