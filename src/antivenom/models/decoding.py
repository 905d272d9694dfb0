"""Greedy generation with a transformers model on this machine, batched by length over a key-value cache."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from antivenom.core.progress import progress_bar
from antivenom.models.base import Generated
from antivenom.models.batches import length_batches, pad_left
from antivenom.models.placement import Chosen
from antivenom.models.precision import computing, is_cast, lay_out

TOKEN_BUDGET = 16_384
"""Tokens whose keys and values a batch may hold at once, prompts and longest answers together."""


class LocalGenerator:
    """Generates with a causal language model of transformers."""

    def __init__(self, model: Any, *, token_budget: int = TOKEN_BUDGET, precision: Chosen = "fp32") -> None:
        """Take a loaded causal language model; under bf16 its weights must not change from here on.

        The sampling settings that came with its weights (temperature, penalties) are set aside: answers are the most
        likely tokens and nothing else, so that they can be repeated.
        """
        from transformers import GenerationConfig

        self.model = model
        self.model.generation_config = GenerationConfig()
        self.token_budget = token_budget
        self.precision = precision
        if is_cast(model, precision):
            lay_out(model, frozen_only=False)

    def generate(
        self, prompts: Sequence[list[int]], *, stops: Sequence[int], longest: int, progress: str | None = None
    ) -> list[Generated]:
        """Continue every prompt; see `models.base.Generator`."""
        found: list[Generated | None] = [None] * len(prompts)
        lengths = [len(prompt) for prompt in prompts]
        columns = [length + longest for length in lengths]
        self.model.eval()
        exact, bar = torch.inference_mode(), progress_bar(progress, total=len(prompts))
        with exact, computing(self.model, self.precision), bar as advance:
            for batch in length_batches(lengths, self.token_budget, columns=columns):
                said = self._continue([prompts[i] for i in batch], list(stops), longest)
                for i, tokens in zip(batch, said, strict=True):
                    found[i] = cut_at_stop(tokens, stops)
                advance(len(batch))
        return [one for one in found if one is not None]

    def stream(self, prompt: list[int], *, stops: Sequence[int], longest: int) -> Iterator[int]:
        """Continue one prompt token by token; see `models.base.Generator`."""
        self.model.eval()
        ids = torch.tensor([prompt], device=next(self.model.parameters()).device)
        past = None
        for _ in range(longest):
            with torch.inference_mode(), computing(self.model, self.precision):
                out = self.model(input_ids=ids, past_key_values=past, use_cache=True, logits_to_keep=1)
            token = int(out.logits[0, -1].argmax())
            yield token
            if token in stops:
                return
            ids, past = torch.tensor([[token]], device=ids.device), out.past_key_values

    def _continue(self, prompts: Sequence[list[int]], stops: list[int], longest: int) -> list[list[int]]:
        ids, mask = pad_left(prompts, next(self.model.parameters()).device)
        said = self.model.generate(
            input_ids=ids,
            attention_mask=mask,
            max_new_tokens=longest,
            do_sample=False,
            eos_token_id=stops,
            pad_token_id=stops[0],
        )
        tokens: list[list[int]] = said[:, ids.shape[1] :].tolist()
        return tokens


def cut_at_stop(tokens: Sequence[int], stops: Sequence[int]) -> Generated:
    """End an answer at its first stop; what stands behind it is padding."""
    for place, token in enumerate(tokens):
        if token in stops:
            return Generated(tuple(tokens[:place]), True)
    return Generated(tuple(tokens), False)
