"""The frozen trunk: layers below the adapters run once per row, and training starts from what they put out.

With LoRA on the top k layers alone, everything below them is the same in every epoch, for every seed, rank and
learning rate, and for every fit that shares rows. So it is computed once, in evaluation mode and without gradients,
kept on disk, and fed to the upper layers in the place of the embeddings. Loss and gradients are those of the whole
model with the same adapters; the adapter is an ordinary PEFT adapter.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Any

import torch
from torch import nn

from antivenom.core.errors import OptionsError
from antivenom.core.files import own_cache
from antivenom.core.processes import on_first, process_count, process_rank, wait_for_all
from antivenom.core.progress import progress_bar
from antivenom.models.batches import length_batches, pad_left, positions
from antivenom.models.early_exit import states_into
from antivenom.models.placement import Chosen
from antivenom.models.precision import computing, is_cast, laid_out
from antivenom.models.states import LIMIT, StateStore, row_key

TOKEN_BUDGET = 4096
"""Padded tokens per pass through the trunk."""
SHARD_TOKENS = 32_768
"""Tokens after which a shard is written: what a killed run can lose, and what is held in memory."""
TOLERANCE = 1e-3
"""Largest difference, relative to the largest state, that the check of an architecture allows (bf16 has 8e-3 per
operation, so it gets thirty times as much)."""


class _Skipped(nn.Module):
    """Stands in for a layer of the trunk, so that the layers above keep their numbers and names."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        if hasattr(layer, "attention_type"):
            self.attention_type = layer.attention_type

    def forward(self, hidden_states: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        return hidden_states


def decoder_layers(model: Any) -> nn.ModuleList:
    """The stack of decoder layers of a causal language model of transformers.

    Raises:
        OptionsError: the model has no `model.layers`.
    """
    layers = getattr(getattr(model, "model", None), "layers", None)
    if not isinstance(layers, nn.ModuleList):
        raise OptionsError(
            f"top_layers: {type(model).__name__} has no stack of layers at `model.layers`",
            mend="Leave top_layers out: this architecture cannot be trained on a frozen trunk.",
        )
    return layers


def lower_layers(model: Any, top: int) -> int:
    """How many layers lie below the top ones.

    Raises:
        OptionsError: there are not that many layers.
    """
    count = len(decoder_layers(model))
    if not 0 < top <= count:
        raise OptionsError(f"top_layers = {top}", mend=f"This model has {count} layers: choose 1 to {count}.")
    return count - top


def linear_names(model: Any) -> list[str]:
    """The last names of all linear modules inside the layers (PEFT's `all-linear` cannot be limited to some layers)."""
    modules = decoder_layers(model).named_modules()
    return sorted({name.rpartition(".")[2] for name, module in modules if isinstance(module, nn.Linear)})


class Trunk:
    """The frozen lower layers of one base model, with the store of what they put out."""

    def __init__(self, model: Any, cut: int, store: StateStore, precision: Chosen = "fp32") -> None:
        """Bind a causal language model, the number of frozen layers and a store that belongs to both."""
        self.precision = precision
        self.model = model
        self.cut = cut
        self.store = store

    @classmethod
    def of(cls, model: Any, *, top: int, identity: str, limit: int = LIMIT, precision: Chosen = "fp32") -> Trunk:
        """The trunk below the `top` layers, with its store in the user's cache.

        Args:
            model: A causal language model without adapters.
            top: How many layers are trained.
            identity: Digest of the base model. The tokenizer need not be in it: rows are named by their token ids, and
                those decide the states.
            limit: Bytes that the stores of all trunks may take.
            precision: What the layers compute with.
        """
        cut = lower_layers(model, top)
        kind = "bf16 products" if is_cast(model, precision) else model.dtype
        name = sha256(f"1:{identity}:{cut}:{kind}".encode()).hexdigest()[:32]
        return cls(model, cut, StateStore(own_cache("trunk") / name, limit=limit), precision)

    def prepare(self, rows: Sequence[Sequence[int]], *, quiet: bool = True, spread: bool = False) -> None:
        """Compute the states of those rows (token ids) that the store does not hold.

        The batches are cut from the longest row on and kept whole, so an interrupted call that is repeated goes on with
        the next batch and computes the same numbers.

        Args:
            rows: Token ids.
            quiet: Show no progress bar.
            spread: Whether all processes of the run ask for these very rows, so that each computes its share.

        Raises:
            OptionsError: the states do not fit on the disk, or the architecture cannot be cut.
        """
        unique = sorted({tuple(row) for row in rows}, key=lambda row: (len(row), row))
        self._check(unique[0])
        keys = [row_key(row) for row in unique]
        missing = [row for row, key in zip(unique, keys, strict=True) if key not in self.store]
        width = self.model.config.hidden_size * torch.finfo(self.model.dtype).bits // 8
        room = functools.partial(self.store.make_room, sum(map(len, missing)) * width, keep=keys)
        # make_room keeps the shards of these rows, so what was not missing still is not.
        batches = [[missing[i] for i in batch] for batch in length_batches(list(map(len, missing)), TOKEN_BUDGET)]
        if not spread:
            room()
            self._compute(batches, quiet)
            return
        on_first(room)
        self._compute(batches[process_rank() :: process_count()], quiet)
        wait_for_all()
        self.store.refresh()

    def _compute(self, batches: Sequence[Sequence[Sequence[int]]], quiet: bool) -> None:
        pending: list[tuple[bytes, torch.Tensor]] = []
        laid = laid_out(self.model, self.precision, frozen_only=False)
        progress = None if quiet else "frozen trunk"
        with laid, progress_bar(progress, total=sum(map(len, batches)), unit="row") as advance:
            for batch in batches:
                pending += [(row_key(row), states) for row, states in zip(batch, self.run(batch), strict=True)]
                advance(len(batch))
                if sum(len(states) for _, states in pending) >= SHARD_TOKENS:
                    self.store.add(pending)
                    pending = []
        if pending:
            self.store.add(pending)

    def run(self, rows: Sequence[Sequence[int]]) -> list[torch.Tensor]:
        """The states of rows, computed: one tensor (tokens, hidden size) each."""
        device = next(self.model.parameters()).device
        ids, mask = pad_left(rows, device)
        states = self._states(ids, mask)
        return [states[i, -len(row) :].cpu() for i, row in enumerate(rows)]

    def batch(self, rows: Sequence[Sequence[int]]) -> torch.Tensor:
        """The states of rows, read: one tensor (rows, longest, hidden size), padded in front with zeros."""
        found = [self.store.read(row_key(row)) for row in rows]
        out = found[0].new_zeros(len(rows), max(map(len, found)), found[0].shape[1])
        for i, states in enumerate(found):
            out[i, -len(states) :] = states
        return out

    @contextlib.contextmanager
    def removed(self) -> Iterator[None]:
        """Take the trunk out of the model: it then continues from states given as `inputs_embeds`."""
        layers = decoder_layers(self.model)
        lower = list(layers[: self.cut])
        try:
            for number, layer in enumerate(lower):
                layers[number] = _Skipped(layer)
            yield
        finally:
            for number, layer in enumerate(lower):
                layers[number] = layer

    def _states(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Run the model up to the cut."""
        self.model.eval()
        options = {"attention_mask": mask, "position_ids": positions(mask), "use_cache": False}
        with torch.no_grad(), computing(self.model, self.precision):
            return states_into(decoder_layers(self.model)[self.cut], lambda: self.model(input_ids=ids, **options))

    def _check(self, row: Sequence[int]) -> None:
        """Compare the cut model with the whole on one row: some architectures do more than run layer after layer."""
        ids, mask = pad_left([row], next(self.model.parameters()).device)
        states = self._states(ids, mask)
        options = {"attention_mask": mask, "position_ids": positions(mask), "use_cache": False, "logits_to_keep": 1}
        with torch.no_grad(), computing(self.model, self.precision):
            whole = self.model(input_ids=ids, **options).logits
            with self.removed():
                cut = self.model(inputs_embeds=states, **options).logits
        allowed = (
            TOLERANCE * (30 if self.precision == "bf16" or self.model.dtype != torch.float32 else 1) * whole.abs().max()
        )
        if not (whole - cut).abs().max() <= allowed:
            raise OptionsError(
                f"top_layers: {type(self.model).__name__} does not continue from the states of its lower layers",
                mend="Leave top_layers out: this architecture cannot be trained on a frozen trunk.",
            )
