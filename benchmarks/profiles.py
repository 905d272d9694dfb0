"""Where the time of training, scoring and variant likelihoods goes: `python -m benchmarks.profiles`.

One thread, and processor seconds instead of the clock's, so that a busy machine changes little.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from antivenom.models.likelihood import log_likelihoods
from antivenom.models.local import LocalModel
from antivenom.models.placement import Chosen
from benchmarks import scoring, training, variants
from benchmarks.workload import make_workload

ALL = ("variants", "scoring", "training")
KINDS = {
    "matrix products": ("addmm", "aten::mm", "bmm", "linear"),
    "attention": ("attention", "sdpa"),
    "softmax and loss": ("softmax", "logsumexp", "nll", "cross_entropy", "exp", "amax"),
    "optimizer": ("foreach", "_fused_adam", "Optimizer"),
    "copies": ("copy", "cat", "index", "clone", "fill", "zero", "empty", "gather", "where"),
}
"""Parts of the names of torch's operations, by what they are for; the first kind that fits counts."""


def main() -> int:
    """Print one line per contender."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profiles", description=__doc__, allow_abbrev=False)
    parser.add_argument("names", nargs="*", choices=[*ALL, []], help="which ones (all)")
    parser.add_argument("--model", default="smollm2", help="smollm2 or a folder")
    parser.add_argument("--sentences", type=int, default=4, help="whose deletions are read")
    parser.add_argument("--rows", type=int, default=16, help="test rows that are scored")
    parser.add_argument("--steps", type=int, default=2, help="training steps of 32 rows")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32", help="what training computes in")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    print(f"| contender | CPU s | {' | '.join(KINDS)} | other |")
    print("|---|---|" + "---|" * (len(KINDS) + 1))
    names = asked.names or ALL
    found = itertools.chain(
        _variants(asked.model, asked.sentences) if "variants" in names else (),
        _scoring(asked.model, asked.rows) if "scoring" in names else (),
        _training(asked.model, asked.steps, asked.precision) if "training" in names else (),
    )
    for name, work in found:
        shares = _shares(work)
        start = time.process_time()
        work()
        seconds = time.process_time() - start
        print(f"| {name} | {seconds:.2f} | {' | '.join(f'{share:.0%}' for share in shares.values())} |", flush=True)
    return 0


def _variants(model: str, sentences: int) -> Iterator[tuple[str, Callable[[], Any]]]:
    lm, rows = variants.load(model, sentences)
    theirs, ours = variants.tokens_read(rows)
    for graph, what in ((True, "OpenBackdoor's layout"), (False, "without its graph")):
        work = lambda graph=graph: [variants.padded(lm, texts, graph=graph) for texts in rows]  # noqa: E731
        yield f"variants, {what} ({theirs} tokens)", work
    yield f"variants, ours ({ours} tokens)", lambda: log_likelihoods(lm, rows)


def _scoring(model: str, rows: int) -> Iterator[tuple[str, Callable[[], Any]]]:
    for name, frame in scoring.FRAMES.items():
        work = make_workload(model, train=1, test=rows, frame=frame)
        prompts, choices = work.prompts(), work.encoder.choices
        adapted, merged = scoring.models(work.folder)
        yield f"scoring, loop, {name}", lambda p=prompts, c=choices, m=adapted: scoring.loop(m, p, c)
        bound = f"scoring, ours, {name} (bound {scoring.bound(prompts):.2f})"
        yield bound, lambda p=prompts, c=choices, m=merged: LocalModel(m).score(p, c)


def _training(model: str, steps: int, precision: Chosen) -> Iterator[tuple[str, Callable[[], Any]]]:
    """TRL as it is, TRL over our batches, and ours: needs trl."""
    work = make_workload(model, train=steps * training.BATCH, test=1)
    examples = work.examples()
    with tempfile.TemporaryDirectory() as name:
        for what, ready in training.all_layers(work, examples, Path(name), precision).items():
            yield f"training, {what}, {precision}", ready()


def _shares(work: Callable[[], Any]) -> dict[str, float]:
    """Which share of the time of all operations each kind takes (its own, not that of what it calls)."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU]) as seen:
        work()
    found = dict.fromkeys([*KINDS, "other"], 0.0)
    for event in seen.key_averages():
        kinds = (kind for kind, parts in KINDS.items() if any(part in event.key for part in parts))
        found[next(kinds, "other")] += event.self_cpu_time_total
    total = sum(found.values())
    return {kind: value / total for kind, value in found.items()}


if __name__ == "__main__":
    raise SystemExit(main())
