"""A transformers model on this machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from antivenom.labels import ChoiceScores

TOKEN_BUDGET = 4096
"""Padded tokens per scoring batch: enough to fill the matrix units, small enough for a laptop."""


class LocalModel:
    """Scores with a causal language model of transformers, batched by length."""

    def __init__(self, model: Any, *, token_budget: int = TOKEN_BUDGET) -> None:
        """Take a loaded causal language model; it is put into evaluation mode (no dropout) to score."""
        self.model = model
        self.token_budget = token_budget

    def score(
        self, prompts: Sequence[list[int]], choices: Sequence[tuple[int, ...]], *, progress: str | None = None
    ) -> ChoiceScores:
        """Score every choice behind every prompt; see `models.base.Model`."""
        scores = np.zeros((len(prompts), len(choices)))
        other = np.zeros(len(prompts), dtype=bool)
        self.model.eval()
        with torch.inference_mode(), _bar(progress, len(prompts)) as bar:
            for batch in length_batches([len(prompt) for prompt in prompts], self.token_budget):
                scores[batch], other[batch] = self._score_batch([prompts[i] for i in batch], choices)
                bar.update(len(batch))
        return ChoiceScores(scores, other)

    def _score_batch(
        self, prompts: list[list[int]], choices: Sequence[tuple[int, ...]]
    ) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Walk the prefix tree of the choices: one pass for the prompts, one short pass per inner node."""
        ids, mask = pad_left(prompts, self.device)
        inner = sorted({choice[:depth] for choice in choices for depth in range(len(choice))}, key=len)
        out = self.model(
            input_ids=ids, attention_mask=mask, position_ids=positions(mask), logits_to_keep=1, use_cache=len(inner) > 1
        )
        root = torch.log_softmax(out.logits[:, -1].float(), dim=-1)
        first = torch.tensor(sorted({choice[0] for choice in choices}), device=self.device)
        other = root.max(dim=-1).values > root[:, first].max(dim=-1).values
        totals = torch.zeros(len(prompts), len(choices), device=self.device)
        for prefix in inner:
            logs = root if not prefix else self._after(prefix, out.past_key_values, mask)
            for column, choice in enumerate(choices):
                if len(choice) > len(prefix) and choice[: len(prefix)] == prefix:
                    totals[:, column] += logs[:, choice[len(prefix)]]
        return totals.double().cpu().numpy(), other.cpu().numpy()

    def _after(self, prefix: tuple[int, ...], cache: Any, mask: torch.Tensor) -> torch.Tensor:
        """Log-probabilities of the next token when `prefix` follows the cached prompts; the cache is left as it was."""
        rows = len(mask)
        ids = torch.tensor([prefix] * rows, device=self.device)
        longer = torch.cat([mask, mask.new_ones(rows, len(prefix))], dim=1)
        place = positions(longer)[:, -len(prefix) :]
        out = self.model(
            input_ids=ids, attention_mask=longer, position_ids=place, past_key_values=cache, logits_to_keep=1
        )
        cache.crop(-len(prefix))
        return torch.log_softmax(out.logits[:, -1].float(), dim=-1)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        device: torch.device = next(self.model.parameters()).device
        return device


def load_causal_lm(folder: Path) -> Any:
    """Load a causal language model from safetensors, never running code from the folder; bf16 on a GPU, else fp32."""
    from transformers import AutoModelForCausalLM

    cuda = torch.cuda.is_available()
    dtype = torch.bfloat16 if cuda and torch.cuda.is_bf16_supported() else torch.float32
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, use_safetensors=True, trust_remote_code=False)
    return model.to("cuda") if cuda else model


def load_tokenizer(folder: Path) -> Any:
    """Load a tokenizer, never running code from the folder; one without a padding token pads with its end token."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def pad_left(sequences: Sequence[Sequence[int]], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """(ids, mask), padded in front so that every sequence ends in the last column; the padding is masked."""
    width = max(map(len, sequences))
    ids = torch.zeros(len(sequences), width, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, sequence in enumerate(sequences):
        ids[row, width - len(sequence) :] = torch.tensor(sequence)
        mask[row, width - len(sequence) :] = 1
    return ids.to(device), mask.to(device)


def positions(mask: torch.Tensor) -> torch.Tensor:
    """Position of each token among the unmasked ones of its row, so that padding in front changes nothing."""
    return (mask.cumsum(dim=1) - 1).clamp(min=0)


def length_batches(lengths: Sequence[int], token_budget: int) -> Iterator[list[int]]:
    """Yield index lists, longest first, whose padded size stays within the budget (one row is always allowed)."""
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    batch: list[int] = []
    for index in order:
        if batch and (len(batch) + 1) * lengths[batch[0]] > token_budget:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def _bar(progress: str | None, total: int) -> Any:
    from tqdm.auto import tqdm

    return tqdm(total=total, desc=progress, unit="row", disable=progress is None)
