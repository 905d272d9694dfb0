"""Tokens per second of training in fp32, under plain bf16 autocast, and under bf16 with frozen weights cast once."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from antivenom.models.base_model import locate_model
from antivenom.models.fused_lora import fused_lora
from antivenom.models.local import load_causal_lm
from antivenom.models.placement import Chosen, Placement
from antivenom.models.precision import choose_precision, laid_out, shapes_of
from antivenom.training.fit import _with_lora
from antivenom.training.trainer import collate
from antivenom.training.training_options import TrainingOptions
from benchmarks.harness import Line, alternate, record

ROWS = 8
TOKENS = 40
STEPS = 3
"""Optimizer steps that are timed together."""

Step = Callable[[], Any]


def run(model: str, rounds: int, folder: Path) -> list[Line]:
    """Measure and record."""
    place = locate_model(model).folder
    base = load_causal_lm(place, Placement("fp32"))
    chosen = choose_precision("auto", shapes_of(base))
    lora = _with_lora(base, TrainingOptions())
    contenders = {
        "fp32": lambda: _train(lora, "fp32", ours=True),
        "autocast": lambda: _train(lora, "bf16", ours=False),
        "ours": lambda: _train(lora, "bf16", ours=True),
    }
    timings = alternate(contenders, rounds)
    speeds = {name: round(ROWS * TOKENS * STEPS / min(found)) for name, found in timings.seconds.items()}
    said = ", ".join(f"{name} {speed} tokens/s" for name, speed in speeds.items()) + f"; auto chooses {chosen}"
    lines = [
        Line("p", "bf16 of ours against fp32", timings.ratio(_of("fp32"), _of("ours")), "> 1 where chosen", said),
        Line("p", "bf16 of ours against autocast", timings.ratio(_of("autocast"), _of("ours")), "> 1", said),
    ]
    capability = torch.backends.cpu.get_cpu_capability()
    record("precision", lines, timings, {"tokens_per_second": speeds, "chosen": chosen, "cpu": capability}, folder)
    return lines


def _of(name: str) -> Callable[[dict[str, float]], float]:
    return lambda seconds: seconds[name]


def _train(model: Any, precision: Chosen, *, ours: bool) -> Step:
    """A few steps over the same batch; one is done beforehand."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(5, 1000, (ROWS, TOKENS + 1), generator=generator).tolist()
    batch = collate([(row[:-1], (row[-1],)) for row in ids])
    labels = batch.pop("labels")[:, -1]
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4)

    def step() -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
            logits = model(**batch, logits_to_keep=1, use_cache=False).logits[:, -1]
        torch.nn.functional.cross_entropy(logits.float(), labels).backward()
        optimizer.step()
        optimizer.zero_grad()

    def train() -> float:
        start = time.perf_counter()
        with contextlib.ExitStack() as stack:
            if ours:
                stack.enter_context(fused_lora(model))
                stack.enter_context(laid_out(model, precision, frozen_only=True))
            for _ in range(STEPS):
                step()
        return time.perf_counter() - start

    model.train()
    step()
    return train
