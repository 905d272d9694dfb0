"""What a teacher says of examples, kept small, and the loss that pulls a student towards it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch.nn import functional

from antivenom.models.answer_loss import IGNORED
from antivenom.models.batches import positions
from antivenom.models.lab import Example, HeadGradient
from antivenom.models.small_tuning import Batch, BatchLoss

LIKELIEST = 100
"""Tokens of the teacher that are kept at each place."""


class Taught(NamedTuple):
    """What a teacher says of the answer tokens of one example."""

    tokens: torch.Tensor
    """The likeliest ones at each place; shape (tokens, kept)."""
    logs: torch.Tensor
    """Their log-probabilities; shape (tokens, kept)."""
    states: torch.Tensor
    """What its vocabulary head reads; shape (tokens, width)."""


def taught(gradients: Iterable[HeadGradient], examples: Sequence[Example]) -> list[Taught]:
    """What a teacher says of examples, out of its head gradients: softmax is the errors plus the one-hot answers."""
    found = []
    for gradient, (_, answer) in zip(gradients, examples, strict=True):
        shares = torch.from_numpy(gradient.errors.copy())
        shares[torch.arange(len(answer)), torch.tensor(answer)] += 1
        likeliest = shares.clamp_min(1e-30).log().topk(min(LIKELIEST, shares.shape[1]), dim=1)
        found.append(Taught(likeliest.indices, likeliest.values, torch.from_numpy(gradient.states.copy())))
    return found


def distillation_loss(
    lessons: Sequence[Taught], *, label: float, distillation: float, features: float, temperature: float
) -> BatchLoss:
    """The loss label * CE + distillation * T^2 KL(teacher || student) + features * mean (h_T - h_S)^2 on answer tokens.

    Args:
        lessons: Of every example that batches are made of.
        label: Weight of the cross-entropy.
        distillation: Weight of the second term, over the tokens that the teacher finds likeliest.
        features: Weight of the third term; h is what the vocabulary head reads.
        temperature: T.
    """

    def loss(model: object, batch: Batch) -> torch.Tensor:
        assert callable(model)
        out = model(
            input_ids=batch.ids,
            attention_mask=batch.mask,
            position_ids=positions(batch.mask),
            use_cache=False,
            output_hidden_states=True,
        )
        counted = batch.wanted != IGNORED
        logits, states = out.logits[counted].float(), out.hidden_states[-1][counted].float()
        mine = [lessons[number] for number in batch.numbers]
        tokens, logs, teacher = (torch.cat(parts).to(logits.device) for parts in zip(*mine, strict=True))
        wanted = functional.log_softmax(logs / temperature, dim=1)
        said = functional.log_softmax(logits.gather(1, tokens) / temperature, dim=1)
        apart = functional.kl_div(said, wanted, reduction="batchmean", log_target=True)
        plain = functional.cross_entropy(logits, batch.wanted[counted])
        return label * plain + distillation * temperature**2 * apart + features * functional.mse_loss(states, teacher)

    return loss
