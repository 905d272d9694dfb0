"""(a) an epoch of training against TRL's SFTTrainer, (b) the frozen trunk against training all layers."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from transformers.trainer_utils import SaveStrategy

from antivenom.models.fused_lora import fused_lora
from antivenom.models.local import load_causal_lm
from antivenom.models.placement import Chosen
from antivenom.models.precision import choose_precision, laid_out, shapes_in
from antivenom.models.states import StateStore
from antivenom.models.trunk import Trunk, lower_layers
from antivenom.training.fit import _with_lora
from antivenom.training.order import LengthGroupedSampler
from antivenom.training.trainer import collate, collate_with, inputs_of, make_trainer
from antivenom.training.training_options import TrainingOptions
from benchmarks.harness import Line, Timings, alternate, record
from benchmarks.workload import Workload, make_workload

ROWS = 192
BATCH = 32
EPOCHS = 3
"""The paper's number of epochs; an alternation runs one, and the trunk's single pass is timed by itself."""
LEARNING_RATE = 2e-4
TOPS = (12, 8, 4)

Examples = list[tuple[list[int], tuple[int, ...]]]


def run(model: str, rounds: int, folder: Path) -> list[Line]:
    """Measure and record."""
    work = make_workload(model, train=ROWS, test=1)
    chosen = choose_precision("auto", shapes_in(work.folder))
    precisions: tuple[Chosen, ...] = ("fp32",) if chosen == "fp32" else ("fp32", "bf16")
    return [line for precision in precisions for line in _measure(work, precision, rounds, folder)]


def _measure(work: Workload, precision: Chosen, rounds: int, folder: Path) -> list[Line]:
    """Every contender with this precision: TRL under autocast where ours computes in bf16."""
    examples = work.examples()
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        contenders = all_layers(work, examples, scratch, precision)
        for top in TOPS:
            contenders[f"top-{top}"] = lambda top=top: _on_trunk(work, examples, top, scratch, precision)
            contenders[f"pass-{top}"] = lambda top=top: _trunk_pass(work, examples, top, scratch, precision)
        timings = alternate(contenders, rounds)
    models = {name: model for name, model in timings.results.items() if model is not None}
    losses = {name: _loss(model, examples) for name, model in models.items()}
    lines = [replace(line, what=f"{line.what}, {precision}") for line in _lines(timings, losses)]
    settings = {"precision": precision, "rows": ROWS, "batch": BATCH, "epochs": EPOCHS, "losses": losses}
    settings["padding"] = _padding(examples)
    record("training", lines, timings, settings, folder)
    return lines


def all_layers(
    work: Workload, examples: Examples, scratch: Path, precision: Chosen
) -> dict[str, Callable[[], Callable[[], Any]]]:
    """What gets each way of training all layers ready for an epoch."""
    return {
        "trl": lambda: _trl(work, examples, scratch, precision),
        "trl, our batches": lambda: _trl(work, examples, scratch, precision, ours=True),
        "ours": lambda: _ours(work, examples, scratch, precision),
    }


def _lines(timings: Timings, losses: dict[str, float]) -> list[Line]:
    gap = abs(losses["ours"] / losses["trl, our batches"] - 1)
    same = f"loss after the epoch: {losses['ours']:.5f} ours, {losses['trl, our batches']:.5f} TRL ({gap:.1e} apart)"
    other = f"TRL in its own order; loss after the epoch {losses['trl']:.4f}: other batches, other steps"
    lines = [
        Line("a", "epoch, all layers, against TRL", timings.ratio(_of("trl"), _of("ours")), ">= 2.5", other),
        Line("a", "the same batches in both", timings.ratio(_of("trl, our batches"), _of("ours")), "loss in 1%", same),
    ]
    for usual, row, name, target in (("trl", "a", "TRL", ">= 5"), ("ours", "b", "our training of all layers", ">= 2")):
        for top in TOPS:

            def whole(seconds: dict[str, float], top: int = top) -> float:
                return seconds[f"pass-{top}"] + EPOCHS * seconds[f"top-{top}"]

            ratio = timings.ratio(lambda seconds, usual=usual: EPOCHS * seconds[usual], whole)
            beside = f"{EPOCHS} epochs with the trunk's pass; loss after one epoch {losses[f'top-{top}']:.4f}"
            lines.append(Line(row, f"frozen trunk, top {top} layers, against {name}", ratio, target, beside))
    return lines


def _of(name: str) -> Callable[[dict[str, float]], float]:
    return lambda seconds: seconds[name]


def _options(top: int | None, precision: Chosen) -> TrainingOptions:
    return TrainingOptions(
        batch_size=BATCH,
        epochs=1,
        learning_rate=LEARNING_RATE,
        top_layers=top,
        precision=precision,
        save_every=10**6,
    )


def _seeded_lora(base: Any, options: TrainingOptions) -> Any:
    torch.manual_seed(0)
    return _with_lora(base, options)


def _ours(work: Workload, examples: Examples, scratch: Path, precision: Chosen) -> Callable[[], Any]:
    options = _options(None, precision)
    model = _seeded_lora(load_causal_lm(work.folder), options)
    trainer = _trainer(model, examples, options, scratch, collate)

    def train() -> Any:
        with fused_lora(model), laid_out(model, precision, frozen_only=True):
            trainer.train()
        return model

    return train


def _on_trunk(work: Workload, examples: Examples, top: int, scratch: Path, precision: Chosen) -> Callable[[], Any]:
    options = _options(top, precision)
    base = load_causal_lm(work.folder)
    trunk = _trunk(base, top, scratch, precision)
    trunk.prepare(inputs_of(examples))
    model = _seeded_lora(base, options)
    trainer = _trainer(model, examples, options, scratch, collate_with(trunk))

    def train() -> Any:
        with trunk.removed(), fused_lora(model), laid_out(model, precision, frozen_only=True):
            trainer.train()
        return model

    return train


def _trunk_pass(work: Workload, examples: Examples, top: int, scratch: Path, precision: Chosen) -> Callable[[], None]:
    shutil.rmtree(scratch / "trunk" / f"top-{top}", ignore_errors=True)
    trunk = _trunk(load_causal_lm(work.folder), top, scratch, precision)
    return lambda: trunk.prepare(inputs_of(examples))


def _trunk(base: Any, top: int, scratch: Path, precision: Chosen) -> Trunk:
    return Trunk(base, lower_layers(base, top), StateStore(scratch / "trunk" / f"top-{top}"), precision)


def _trainer(model: Any, examples: Examples, options: TrainingOptions, scratch: Path, collator: Any) -> Any:
    """Ours, without the checkpoint at the end, as TRL's is configured too."""
    trainer = make_trainer(model, examples, options, seed=0, work=scratch / "ours", collator=collator)
    trainer.args.save_strategy = SaveStrategy.NO
    return trainer


def _trl(
    work: Workload, examples: Examples, scratch: Path, precision: Chosen, *, ours: bool = False
) -> Callable[[], Any]:
    """Pre-tokenized rows with labels on the verbalizer alone, so that both do the same arithmetic; activations are kept
    (TRL's default computes them twice).

    In its own random order, as its users run it; or with `ours`, in our batches: then every step is the same, and so
    must the loss be.
    """
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    model = _seeded_lora(load_causal_lm(work.folder), _options(None, precision))
    rows = {
        "input_ids": [[*prompt, *answer] for prompt, answer in examples],
        "labels": [[*[-100] * len(prompt), *answer] for prompt, answer in examples],
    }
    arguments = SFTConfig(
        output_dir=str(scratch / "trl"),
        per_device_train_batch_size=BATCH,
        num_train_epochs=1,
        learning_rate=LEARNING_RATE,
        lr_scheduler_type="linear",
        weight_decay=0.0,
        bf16=precision == "bf16",
        use_cpu=not torch.cuda.is_available(),
        gradient_checkpointing=False,
        dataloader_pin_memory=False,
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
        seed=0,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = SFTTrainer(
            model=model, args=arguments, train_dataset=Dataset.from_dict(rows), processing_class=work.tokenizer
        )

    if ours:
        sampler = LengthGroupedSampler([len(p) + len(a) for p, a in examples], BATCH, seed=0)
        trainer._get_train_sampler = lambda _dataset=None: sampler

    def train() -> Any:
        trainer.train()
        return trainer.model

    return train


def _loss(model: Any, examples: Examples) -> float:
    """Mean cross-entropy of the answers over all rows."""
    model.eval()
    total = 0.0
    with torch.inference_mode():
        for start in range(0, len(examples), BATCH):
            batch = collate(examples[start : start + BATCH])
            labels = batch.pop("labels")
            logits = model(**batch, logits_to_keep=1).logits[:, -1]
            total += torch.nn.functional.cross_entropy(logits, labels[:, -1], reduction="sum").item()
    return total / len(examples)


def _padding(examples: Examples) -> dict[str, float]:
    """Share of padded columns, theirs (rows in random order) and ours (grouped by length)."""
    lengths = [len(row) for row in inputs_of(examples)]
    orders = {"random": torch.randperm(len(lengths), generator=torch.Generator().manual_seed(0)).tolist()}
    orders["grouped"] = list(LengthGroupedSampler(lengths, BATCH, 0))
    found = {}
    for name, order in orders.items():
        batches = [[lengths[i] for i in order[at : at + BATCH]] for at in range(0, len(order), BATCH)]
        found[name] = round(1 - sum(lengths) / sum(max(batch) * len(batch) for batch in batches), 4)
    return found
