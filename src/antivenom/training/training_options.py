"""How to fine-tune: the settings, and what becomes of them where rows were left out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil, inf
from typing import Literal

from antivenom.core.errors import OptionsError
from antivenom.core.options import Options, require_above_zero
from antivenom.defenses import Prepared
from antivenom.models.placement import Attention, Placement, Precision


@dataclass(frozen=True, kw_only=True)
class TrainingOptions(Options):
    """How to fine-tune. The defaults are the paper's where it says something: LoRA 16/16, 2e-4, batch 32, 3 epochs."""

    method: Literal["lora", "full"] = "lora"
    """Low-rank adapters, or all parameters."""
    rank: int = 16
    """LoRA rank r."""
    alpha: int = 16
    """LoRA alpha; updates are scaled by alpha / rank."""
    dropout: float = 0.0
    """LoRA dropout (the authors' code has 0.1; the paper is silent)."""
    modules: tuple[str, ...] = ()
    """Linear layers that get an adapter; all but the head when empty (the authors' code: q_proj and v_proj). Of a model
    that takes images, only those of its language part."""
    top_layers: int | None = None
    """Adapt only that many of the last layers; the frozen ones below run once per row instead of once per epoch."""
    learning_rate: float = 2e-4
    """Peak learning rate; it falls linearly to zero. A 135M model wants about 2e-3."""
    batch_size: int = 32
    """Rows per optimizer step."""
    accumulate: int = 1
    """Split each batch into this many passes, to save memory."""
    epochs: float = 3.0
    """Passes over the rows."""
    weight_decay: float = 0.0
    """AdamW's weight decay."""
    warmup: float = 0.0
    """Share of the steps over which the learning rate rises."""
    clip: float = 1.0
    """Largest gradient norm."""
    save_every: int = 50
    """Optimizer steps between checkpoints; a killed run goes on from the last one."""
    precision: Precision = "auto"
    """fp32, or products in bf16 over fp32 weights; auto chooses bf16 on a GPU and on a CPU that is faster at it."""
    gradient_checkpointing: bool = False
    """Compute the layers' states again on the way back instead of keeping them: a third slower, far less memory."""
    four_bit: bool = False
    """Hold the frozen base in 4-bit blocks (bitsandbytes, on a GPU): QLoRA."""
    attention: Attention = "auto"
    """Kernel of attention; transformers chooses where it is auto."""
    device_map: Literal["one", "auto"] = "one"
    """One device, or the layers spread over all GPUs that this process sees."""
    report_to: tuple[str, ...] = ()
    """Trackers of transformers that get the losses, such as tensorboard, wandb or mlflow. Name a folder for
    TensorBoard's files in TENSORBOARD_LOGGING_DIR: elsewhere they are removed with what the training works with."""

    @property
    def placement(self) -> Placement:
        """How the base model's weights are held. Weights that learn are fp32 in themselves, whatever computes."""
        keeps_fp32 = self.precision == "fp32" or self.method == "full"
        return Placement("fp32" if keeps_fp32 else "auto", self.attention, self.four_bit, self.device_map)

    def over(self, rows: int, *, instead_of: int = 0, most_steps: float = inf) -> TrainingOptions:
        """The same recipe over `rows` that were chosen from `instead_of`.

        So many more epochs that the optimizer steps are as many as over all rows, but no more than `most_steps` for
        that reason. A model that is trained for a shorter time because rows were left out answers worse
        (research/log.md).
        """
        steps, full = (self.epochs * ceil(count / self.batch_size) for count in (rows, instead_of))
        wanted = min(full, most_steps)
        return replace(self, epochs=self.epochs * wanted / steps) if 0 < steps < wanted else self

    def on(self, prepared: Prepared) -> TrainingOptions:
        """The same recipe over rows that a defense prepared."""
        changes = prepared.training
        changed = self.from_dict({**self.to_dict(), **changes.overrides}) if changes.overrides else self
        return changed.over(prepared.rows.num_rows, instead_of=changes.instead_of, most_steps=changes.most_steps)

    def __post_init__(self) -> None:
        positive = ("rank", "alpha", "learning_rate", "batch_size", "accumulate", "epochs", "clip", "save_every")
        require_above_zero(self, *positive)
        if not 0 <= self.weight_decay < inf:
            raise OptionsError(f"weight_decay = {self.weight_decay}", mend="It must be at least zero and finite.")
        for name in ("dropout", "warmup"):
            if not 0 <= getattr(self, name) < 1:
                raise OptionsError(f"{name} = {getattr(self, name)}", mend="It must be at least 0 and below 1.")
        if self.top_layers is not None and (self.top_layers < 1 or self.method != "lora"):
            raise OptionsError(
                f"top_layers = {self.top_layers} with method = {self.method!r}",
                mend="It is at least 1, and for LoRA alone: full fine-tuning changes every layer.",
            )
        if self.four_bit and (self.method != "lora" or self.top_layers is not None):
            raise OptionsError(
                f"four_bit = True with method = {self.method!r} and top_layers = {self.top_layers}",
                mend="4-bit weights cannot learn, and no states of theirs are kept: use LoRA in all layers.",
            )
        if self.gradient_checkpointing and self.top_layers is not None:
            raise OptionsError(
                f"gradient_checkpointing = True with top_layers = {self.top_layers}",
                mend="Leave it out: the states of the frozen layers are not kept anyway.",
            )
        if self.batch_size % self.accumulate:
            raise OptionsError(f"batch_size = {self.batch_size} is no multiple of accumulate = {self.accumulate}")
