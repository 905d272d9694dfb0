"""The Trainer: the loss computed only where there is a label, batches of like lengths, checkpoints that resume."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional
from transformers import Trainer, TrainingArguments

from antivenom.guards.image_prompts import ImageRenderer
from antivenom.guards.prompts import Renderer
from antivenom.models.answer_loss import IGNORED, losses_for_logits, plain_head
from antivenom.models.batches import pad_left, positions
from antivenom.models.vision import ImageBatches
from antivenom.training.training_options import TrainingOptions

if TYPE_CHECKING:
    from antivenom.models.trunk import Trunk

Example = tuple[list[int], tuple[int, ...]]
Collator = Callable[[Sequence[Example]], dict[str, torch.Tensor]]
BATCHES_SORTED_TOGETHER = 48
"""Batches are cut from this many batches' worth of shuffled rows sorted by length: padding stays under 5 %."""


class LengthGroupedSampler(torch.utils.data.Sampler[int]):
    """A fresh random order each epoch in which neighbors have like lengths and the batches are shuffled.

    transformers' own grouping runs each group from long to short, so rows with the longer benign prompt would come
    in blocks of time; here whole batches are shuffled.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        self.lengths = lengths
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch's order; accelerate calls it, also when a run resumes."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order: list[int] = torch.randperm(len(self.lengths), generator=generator).tolist()
        group = self.batch_size * BATCHES_SORTED_TOGETHER
        batches = []
        for start in range(0, len(order), group):
            near = sorted(order[start : start + group], key=lambda i: self.lengths[i])
            batches += [near[at : at + self.batch_size] for at in range(0, len(near), self.batch_size)]
        # The one short batch stays last, or the batches that the loader cuts would straddle two of ours.
        last = [batches.pop()] if len(batches[-1]) < self.batch_size else []
        shuffled = [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]
        yield from (i for batch in shuffled + last for i in batch)


class LabelTrainer(Trainer):
    """A Trainer that runs the vocabulary head only where there is an answer, a piece at a time."""

    head: torch.nn.Linear | None = None
    """What `plain_head` found. Without one the logits of all columns that hold an answer exist at once."""

    def _get_train_sampler(self, train_dataset: Any = None) -> LengthGroupedSampler:
        rows: Sequence[Example] = self.train_dataset if train_dataset is None else train_dataset
        lengths = [len(prompt) + len(answer) for prompt, answer in rows]
        per_step = self.args.per_device_train_batch_size * self.args.gradient_accumulation_steps
        return LengthGroupedSampler(lengths, per_step, self.args.data_seed or 0)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Keep the history; print nothing, because standard output belongs to the command."""
        self.state.log_history.append({**logs, "step": self.state.global_step})

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Mean cross-entropy of the answer tokens (over the whole accumulated batch, where its size is given)."""
        wanted = inputs["labels"][:, 1:]
        unread = {"labels", "input_ids"} if "inputs_embeds" in inputs else {"labels"}
        read = {name: value for name, value in inputs.items() if name not in unread}
        with contextlib.nullcontext() if self.head is None else losses_for_logits(self.head, wanted):
            out = model(**read, logits_to_keep=wanted.shape[1], use_cache=False)
        if self.head is None:
            logits = out.logits.float().flatten(0, 1)
            total = functional.cross_entropy(logits, wanted.flatten(), ignore_index=IGNORED, reduction="sum")
        else:
            total = out.logits
        loss = total / ((wanted != IGNORED).sum() if num_items_in_batch is None else num_items_in_batch)
        return (loss, out) if return_outputs else loss


def inputs_of(examples: Sequence[Example]) -> list[list[int]]:
    """What the model reads of each example: all but the last token, which only has to be predicted."""
    return [[*prompt, *answer[:-1]] for prompt, answer in examples]


def collate(examples: Sequence[Example]) -> dict[str, torch.Tensor]:
    """Pad in front; `labels` has shape (rows, 1 + longest answer).

    Its last columns are what the last columns of the input predict. Its first is never an answer, because the Trainer
    counts the labels of a batch without that column.
    """
    ids, mask = pad_left(inputs_of(examples), torch.device("cpu"))
    return {"input_ids": ids, "attention_mask": mask, "position_ids": positions(mask), "labels": labels_of(examples)}


def labels_of(examples: Sequence[Example]) -> torch.Tensor:
    """The labels of a batch, as `collate` describes them."""
    longest = max(len(answer) for _, answer in examples)
    labels = torch.full((len(examples), 1 + longest), IGNORED)
    for row, (_, answer) in enumerate(examples):
        labels[row, 1 + longest - len(answer) :] = torch.tensor(answer)
    return labels


def collate_with(trunk: Trunk) -> Collator:
    """The collator of a model whose trunk was taken out: the rows' stored states come along."""

    def collate_states(examples: Sequence[Example]) -> dict[str, torch.Tensor]:
        return {**collate(examples), "inputs_embeds": trunk.batch(inputs_of(examples))}

    return collate_states


def collator_of(renderer: Renderer, model: Any) -> Collator:
    """The collator of a model without adapters; pixels of images are made here, batch by batch."""
    if not isinstance(renderer, ImageRenderer):
        return collate
    batches = ImageBatches.of(renderer, model)

    def collate_pixels(examples: Sequence[Example]) -> dict[str, torch.Tensor]:
        return {**batches([prompt + list(answer[:-1]) for prompt, answer in examples]), "labels": labels_of(examples)}

    return collate_pixels


def make_trainer(
    model: Any,
    examples: list[Example],
    options: TrainingOptions,
    *,
    seed: int,
    work: Path,
    quiet: bool,
    collator: Collator = collate,
) -> LabelTrainer:
    """Configure the Trainer: linear decay, AdamW, bf16 where the device has it, a checkpoint now and then."""
    cuda = torch.cuda.is_available()
    arguments = TrainingArguments(
        output_dir=str(work),
        per_device_train_batch_size=options.batch_size // options.accumulate,
        gradient_accumulation_steps=options.accumulate,
        num_train_epochs=options.epochs,
        learning_rate=options.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=options.warmup,
        weight_decay=options.weight_decay,
        max_grad_norm=options.clip,
        bf16=cuda and torch.cuda.is_bf16_supported(),
        seed=seed,
        data_seed=seed,
        save_strategy="steps",
        save_steps=options.save_every,
        save_total_limit=2,
        logging_strategy="no",
        logging_nan_inf_filter=False,
        report_to="none",
        disable_tqdm=quiet,
        remove_unused_columns=False,
        dataloader_pin_memory=cuda,
        label_names=["labels"],
    )
    trainer = LabelTrainer(model=model, args=arguments, train_dataset=examples, data_collator=collator)
    trainer.head = plain_head(model)
    return trainer


def latest_checkpoint(work: Path) -> str | None:
    """The last complete checkpoint. One that a kill left half written is removed.

    The state file and the random state are the last that the Trainer writes, so they show completeness.
    """
    found = sorted(work.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))
    for path in reversed(found):
        if _is_complete(path):
            return str(path)
    return None


def _is_complete(checkpoint: Path) -> bool:
    try:
        json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    names = {path.name for path in checkpoint.iterdir()}
    return {"optimizer.pt", "scheduler.pt"} <= names and any(name.startswith("rng_state") for name in names)
