"""(e) the likelihoods of all deletions of one word against one padded forward pass per sentence (OpenBackdoor)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from antivenom.models.likelihood import log_likelihoods
from antivenom.models.local import load_causal_lm
from benchmarks.harness import Line, alternate, record
from benchmarks.workload import make_workload

SENTENCES = 24


def run(model: str, rounds: int, folder: Path) -> list[Line]:
    """Measure and record."""
    work = make_workload(model, train=SENTENCES, test=1)
    lm = load_causal_lm(work.folder).eval()
    texts = [_deletions(text) for text in work.train.column("text").to_pylist()]
    rows = [work.tokenizer(variants, add_special_tokens=False)["input_ids"] for variants in texts]
    contenders: dict[str, Callable[[], Callable[[], Any]]] = {
        "openbackdoor": lambda: lambda: [_padded(lm, variants, graph=True) for variants in rows],
        "no-grad": lambda: lambda: [_padded(lm, variants, graph=False) for variants in rows],
        "ours": lambda: lambda: log_likelihoods(lm, rows),
    }
    timings = alternate(contenders, rounds)
    gap = max(
        float(np.abs((np.array(alone) - ours) / [max(1, len(ids) - 1) for ids in variants]).max())
        for alone, ours, variants in zip(_alone(lm, rows[:4]), timings.results["ours"], rows, strict=False)
    )
    tokens = sum(len(ids) for variants in rows for ids in variants)
    count = sum(map(len, rows))
    beside = f"{SENTENCES} sentences, {count} variants; largest difference per token from one at a time {gap:.1e}"
    lines = [
        Line(
            "e",
            f"variant likelihoods against {what}",
            timings.ratio(lambda s, n=name: s[n], lambda s: s["ours"]),
            ">= 10",
            beside,
        )
        for name, what in (
            ("openbackdoor", "OpenBackdoor's layout"),
            ("no-grad", "the same without its autograd graph"),
        )
    ]
    record("variants", lines, timings, {"sentences": SENTENCES, "tokens": tokens, "difference": gap}, folder)
    return lines


def _deletions(text: str) -> list[str]:
    words = text.split()
    return [text, *(" ".join([*words[:i], *words[i + 1 :]]) for i in range(len(words)))]


def _padded(lm: Any, variants: list[list[int]], *, graph: bool) -> list[float]:
    """One forward pass over a sentence and all its deletions, padded behind, logits everywhere.

    OpenBackdoor passes the labels along, so the model computes a loss of its own as well, and leaves gradients on.
    Its loss counts the padding; here the padding is left out, or there would be nothing to compare.
    """
    width = max(map(len, variants))
    ids = torch.zeros(len(variants), width, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, variant in enumerate(variants):
        ids[row, : len(variant)] = torch.tensor(variant)
        mask[row, : len(variant)] = 1
    with torch.set_grad_enabled(graph):
        logits = lm(input_ids=ids, attention_mask=mask, labels=ids).logits
        shifted, wanted = logits[:, :-1].contiguous(), ids[:, 1:].contiguous()
        found = []
        for row in range(len(variants)):
            losses = torch.nn.functional.cross_entropy(shifted[row], wanted[row], reduction="none")
            found.append(-float((losses * mask[row, 1:]).sum().detach()))
    return found


def _alone(lm: Any, rows: list[list[list[int]]]) -> list[list[float]]:
    return [[_padded(lm, [ids], graph=False)[0] if len(ids) > 1 else 0.0 for ids in variants] for variants in rows]
