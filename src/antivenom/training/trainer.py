"""The Trainer: the loss computed only where there is a label, batches of like lengths, checkpoints that resume."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional
from transformers import PrinterCallback, Trainer, TrainingArguments

from antivenom.core.errors import OptionsError
from antivenom.core.processes import PATIENCE, on_first, process_count, wait_for_all
from antivenom.guards.image_prompts import ImageRenderer
from antivenom.guards.rendering import Renderer
from antivenom.models.answer_loss import IGNORED, losses_for_logits, plain_head
from antivenom.models.batches import pad_left, positions
from antivenom.models.lab import TokenLoss, TrainingChanges
from antivenom.models.vision import ImageBatches
from antivenom.training.checkpoints import seal_checkpoint
from antivenom.training.losses import LossHistory
from antivenom.training.order import LengthGroupedSampler
from antivenom.training.sharding import require_fsdp2
from antivenom.training.training_options import TrainingOptions

if TYPE_CHECKING:
    from antivenom.models.trunk import Trunk

Example = tuple[list[int], tuple[int, ...]]
LOG_EVERY = 10
"""Optimizer steps between what trackers are told."""
Collator = Callable[[Sequence[Example]], dict[str, torch.Tensor]]


class LabelTrainer(Trainer):
    """A Trainer that runs the vocabulary head only where there is an answer, a piece at a time."""

    head: torch.nn.Linear | None = None
    """What `plain_head` found. Without one the logits of all columns that hold an answer exist at once."""

    history: LossHistory
    """Gets the loss of every pass."""

    changed_loss: TokenLoss | None = None
    """What a defense puts in the place of cross-entropy."""

    def _get_train_sampler(self, train_dataset: Any = None) -> LengthGroupedSampler:
        rows: ExampleSet = self.train_dataset if train_dataset is None else train_dataset
        lengths = [len(prompt) + len(answer) for prompt, answer in rows.examples]
        here = self.args.per_device_train_batch_size * self.args.gradient_accumulation_steps
        processes, seed = self.args.world_size, self.args.data_seed or 0
        return LengthGroupedSampler(lengths, here * processes, seed, epoch=self._epoch, fill=processes > 1)

    def _epoch(self) -> int:
        """The number of the epoch, also of one that a checkpoint was written in the middle of."""
        return int(self.state.epoch or 0)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Tell the trackers; print nothing, because standard output belongs to the command."""
        if "loss" not in logs:  # the history has every step's loss already
            self.state.log_history.append({**logs, "step": self.state.global_step})
        self.callback_handler.on_log(self.args, self.state, self.control, logs)

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> torch.Tensor:
        """One pass forward and back; its loss is noted."""
        loss: torch.Tensor = super().training_step(model, inputs, num_items_in_batch)
        self.history.add(loss)
        return loss

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
        wait_for_all()
        on_first(lambda: seal_checkpoint(folder))

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Mean cross-entropy of the answer tokens (over the whole accumulated batch, where its size is given)."""
        wanted = inputs["labels"][:, 1:]
        unread = {"labels", "input_ids"} if "inputs_embeds" in inputs else {"labels"}
        read = {name: value for name, value in inputs.items() if name not in unread}
        with contextlib.nullcontext() if self.head is None else losses_for_logits(self.head, wanted):
            out = model(**read, logits_to_keep=wanted.shape[1], use_cache=False)
        if self.changed_loss is not None:
            done = self.state.global_step / max(self.state.max_steps, 1)
            asked = wanted != IGNORED
            total = self.changed_loss(out.logits[asked].float(), wanted[asked], done).sum()
        elif self.head is None:
            logits = out.logits.float().flatten(0, 1)
            total = functional.cross_entropy(logits, wanted.flatten(), ignore_index=IGNORED, reduction="sum")
        else:
            total = out.logits
        counted = (wanted != IGNORED).sum() if num_items_in_batch is None else num_items_in_batch
        # The gradients are averaged over the processes, and the labels were counted in all of them.
        loss = total * (1 if num_items_in_batch is None else self.args.world_size) / counted
        return (loss, out) if return_outputs else loss


class ExampleSet(torch.utils.data.Dataset[Example]):
    """The examples, and behind the last of them a blank one, of which nothing is learned: it fills up a batch."""

    def __init__(self, examples: Sequence[Example]) -> None:
        self.examples = examples
        self.blank = blank_like(examples[0])

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> Example:
        return self.blank if index == len(self.examples) else self.examples[index]


def blank_like(example: Example) -> Example:
    """The prompt of an example with nothing to predict behind it."""
    return example[0], (IGNORED,)


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


def require_trackers(names: Sequence[str]) -> None:
    """Refuse a tracker that transformers does not know, or that is not installed.

    Raises:
        OptionsError: lists those that can be had.
    """
    from transformers.integrations import get_available_reporting_integrations

    available = sorted(get_available_reporting_integrations())
    for name in names:
        if name not in available:
            choices = ", ".join(available) or "none; install tensorboard, wandb, mlflow or another"
            raise OptionsError(f"report_to = {name!r}", mend=f"Installed here: {choices}.")


def make_trainer(
    model: Any,
    examples: list[Example],
    options: TrainingOptions,
    *,
    seed: int,
    work: Path,
    collator: Collator = collate,
    changes: TrainingChanges = TrainingChanges(),
) -> LabelTrainer:
    """Configure the Trainer: linear decay, AdamW, bf16 where the device has it, a checkpoint now and then.

    Raises:
        OptionsError: the batch cannot be divided among the processes.
    """
    arguments = _arguments(options, seed=seed, work=work, checkpoints=not changes.callbacks)
    use_one_gpu(arguments)
    if options.gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    history, changed = LossHistory(), changes.loss is not None
    trainer = LabelTrainer(
        model=model,
        args=arguments,
        train_dataset=ExampleSet(examples),
        data_collator=collator,
        callbacks=[history],
    )
    require_fsdp2(getattr(trainer.accelerator.state, "fsdp_plugin", None))
    trainer.remove_callback(PrinterCallback)
    # A changed loss reads logits, so all of an answer's exist at once.
    trainer.head, trainer.history = None if changed else plain_head(model), history
    trainer.changed_loss = changes.loss
    trainer.model_accepts_loss_kwargs = True  # our loss takes the number of labels, whatever the model's own does
    return trainer


def _arguments(options: TrainingOptions, *, seed: int, work: Path, checkpoints: bool) -> TrainingArguments:
    """What the Trainer is told.

    Raises:
        OptionsError: the batch cannot be divided among the processes, or a tracker is not installed.
    """
    require_trackers(options.report_to)
    cuda, processes = torch.cuda.is_available(), process_count()
    if options.batch_size % (options.accumulate * processes):
        raise OptionsError(
            f"batch_size = {options.batch_size} with accumulate = {options.accumulate} in {processes} processes",
            mend=f"Choose a multiple of {options.accumulate * processes}: it is the batch of all processes together.",
        )
    return TrainingArguments(
        output_dir=str(work),
        per_device_train_batch_size=options.batch_size // (options.accumulate * processes),
        gradient_accumulation_steps=options.accumulate,
        num_train_epochs=options.epochs,
        learning_rate=options.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=options.warmup,
        weight_decay=options.weight_decay,
        max_grad_norm=options.clip,
        bf16=options.precision == "bf16",
        seed=seed % 2**32,
        data_seed=seed % 2**32,
        save_strategy="steps" if checkpoints else "no",
        save_steps=options.save_every,
        save_total_limit=2,
        logging_strategy="steps" if options.report_to else "no",
        logging_steps=LOG_EVERY,
        logging_nan_inf_filter=False,
        report_to=list(options.report_to) or "none",
        disable_tqdm=True,  # see `shown_steps`
        remove_unused_columns=False,
        dataloader_pin_memory=cuda,
        label_names=["labels"],
        use_cpu=not cuda,
        ddp_find_unused_parameters=False,
        ddp_timeout=int(PATIENCE.total_seconds()),
    )


def use_one_gpu(arguments: TrainingArguments) -> None:
    """Let a process use one GPU where it sees several.

    The Trainer would copy the model onto all of them (DataParallel), and the copies would compute logits where ours
    computes a loss. Several GPUs are used by as many processes.
    """
    arguments._n_gpu = min(arguments.n_gpu, 1)
