"""ONION's scores of review sentences: OpenBackdoor's layout beside ours, exact, with a window, and in bf16.

    python -m benchmarks onion --rounds 1

OpenBackdoor reads each text as one batch: the text and the text without each of its words, padded to one length,
logits of the whole vocabulary at every place. (Its padding also counts in the loss, which is a fault of its numbers and
not of its speed; here padding is masked.) Ours reads a variant from its gap on (`models/likelihood.py`). Seconds are
the processor's, those of all threads.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from antivenom.core.arrays import Floats
from antivenom.data.rows import split_rows
from antivenom.defenses.onion import OnionTexts
from antivenom.models.base_model import locate_model
from antivenom.models.batches import pad_right
from antivenom.models.fluency import FluentModel
from antivenom.models.local import load_causal_lm
from antivenom.models.precision import laid_out
from antivenom.models.tokenizer import load_tokenizer
from benchmarks.harness import Line, alternate, record
from benchmarks.reviews import reviews

TEXTS = 12
WINDOW = 4
BAR = 20.0


def run(model: str, rounds: int, folder: Path, texts: int = TEXTS) -> list[Line]:
    """Measure and record."""
    place = locate_model(model).folder
    loaded, tokenizer = load_causal_lm(place).eval(), load_tokenizer(place)
    [rows] = split_rows(reviews(), [texts], seed=0)
    asked = rows.column("text").to_pylist()
    fluent = FluentModel(loaded, tokenizer)
    exact, near = OnionTexts(), OnionTexts(window=WINDOW)
    contenders: dict[str, Callable[[], Callable[[], Any]]] = {
        "OpenBackdoor": lambda: lambda: scores(exact, asked, partial(padded, loaded, tokenizer)),
        "exact": lambda: lambda: scores(exact, asked, fluent),
        "window": lambda: lambda: scores(near, asked, partial(fluent, window=WINDOW)),
        "exact, bf16": lambda: lambda: in_bf16(loaded, lambda: scores(exact, asked, fluent)),
        "window, bf16": lambda: lambda: in_bf16(loaded, lambda: scores(near, asked, partial(fluent, window=WINDOW))),
    }
    timings = alternate(contenders, rounds, time.process_time)
    lines, theirs = [], timings.results["OpenBackdoor"]
    for name in list(contenders)[1:]:
        ratio = timings.ratio(lambda s: s["OpenBackdoor"], lambda s, n=name: s[n])
        lines.append(Line("o", f"ONION, {name}", ratio, ">= 4", agreement(theirs, timings.results[name])))
    record("onion", lines, timings, {"texts": texts, "window": WINDOW, "words": len(theirs), "bar": BAR}, folder)
    return lines


def scores(onion: OnionTexts, texts: list[str], fluency: Any) -> Floats:
    """The suspicion scores of all words of all texts."""
    return np.concatenate([one.scores for one in onion.scored(texts, fluency)])


def padded(model: Any, tokenizer: Any, texts: list[str]) -> Floats:
    """Mean log-likelihoods, one padded batch per text and its variants, which follow it and are shorter."""
    found: list[float] = []
    batch: list[list[int]] = []
    words = 0
    for text in texts:
        if batch and len(text.split()) != words - 1:
            found += _batch(model, batch)
            batch = []
        if not batch:
            words = len(text.split())
        batch.append(list(tokenizer(text)["input_ids"]))
    return np.array(found + (_batch(model, batch) if batch else []))


def _batch(model: Any, rows: list[list[int]]) -> list[float]:
    ids, mask = pad_right(rows, next(model.parameters()).device)
    with torch.inference_mode():
        logs = model(input_ids=ids, attention_mask=mask, use_cache=False).logits.float().log_softmax(dim=-1)
    told = logs[:, :-1].gather(2, ids[:, 1:, None]).squeeze(2) * mask[:, 1:]
    means: list[float] = (told.sum(dim=1) / mask[:, 1:].sum(dim=1).clamp_min(1)).tolist()
    return means


def in_bf16(model: Any, work: Callable[[], Floats]) -> Floats:
    """Do something with a model that computes in bf16."""
    with laid_out(model, "bf16", frozen_only=False), torch.autocast("cpu", dtype=torch.bfloat16):
        return work()


def agreement(theirs: Floats, ours: Floats) -> str:
    """How alike two sets of scores are: as numbers, in order, and in what they delete."""
    ranks = np.stack([np.argsort(np.argsort(each)) for each in (theirs, ours)])
    order = np.asarray(np.corrcoef(ranks))[0, 1]
    same = float(((theirs > BAR) == (ours > BAR)).mean())
    gap = float(np.median(np.abs(theirs - ours)))
    return f"rank correlation {order:.4f}, the same words deleted at bar {BAR:g}: {same:.1%}, median gap {gap:.2g}"
