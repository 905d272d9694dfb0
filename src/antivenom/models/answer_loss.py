"""The loss of answers without the logits of answers: bounded memory, however long they are.

Logits take 4 bytes times the vocabulary for every token: 16 answers of 200 tokens and 49,152 words are 630 MB, and the
usual cross-entropy keeps them twice more. Here the head runs at the labeled tokens alone, a piece at a time, and of
each piece only its loss and the gradient of the states are kept. No product is computed twice.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from antivenom.models.precision import working_weight

IGNORED = -100
"""The label of a position whose loss does not count."""
LOGITS_AT_ONCE = 2**24
"""Numbers in one piece of logits: 64 MB, or 341 tokens of a vocabulary of 49,152."""


def plain_head(model: Any) -> nn.Linear | None:
    """The vocabulary head, if it is a linear layer whose output is what the model returns as its logits.

    None for a model that caps or scales its logits, and for a head that is adapted or quantized.
    """
    head = model.get_output_embeddings()
    if type(head) is not nn.Linear:
        return None
    seen: list[torch.Tensor] = []
    handle = head.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    try:
        with torch.no_grad():
            logits = model(input_ids=torch.tensor([[1, 2]], device=head.weight.device), use_cache=False).logits
    finally:
        handle.remove()
    return head if len(seen) == 1 and torch.equal(seen[0].float(), logits.float()) else None


@contextlib.contextmanager
def losses_for_logits(head: nn.Linear, labels: torch.Tensor) -> Iterator[None]:
    """Let a model return the summed cross-entropy of `labels` where it returns its logits.

    The head is replaced and not called by itself, so that a model that is spread over devices still runs as a whole.

    Args:
        head: What `plain_head` found.
        labels: One per position that reaches the head, shape (rows, columns); those that are `IGNORED` do not count.
    """
    counted = labels != IGNORED
    wanted = labels[counted]

    def forward(states: torch.Tensor) -> torch.Tensor:
        place = states.device.type
        kind = torch.get_autocast_dtype(place) if torch.is_autocast_enabled(place) else states.dtype
        matrix = working_weight(head, kind).detach()
        loss: torch.Tensor = _SummedLoss.apply(states[counted].to(kind), matrix, head.weight, head.bias, wanted)
        return loss

    before = head.__dict__.get("forward")
    head.forward = forward
    try:
        yield
    finally:
        del head.forward
        if before is not None:
            head.forward = before


class _SummedLoss(torch.autograd.Function):
    """The sum of -log softmax(states W' + b) at the wanted tokens; its gradients are found in the same pass.

    `matrix` is W in the type of the states, which the products are computed in.
    """

    @staticmethod
    def forward(ctx: Any, states: Any, matrix: Any, weight: Any, bias: Any, wanted: Any) -> Any:
        to_states, _, to_weight, to_bias = ctx.needs_input_grad[:4]
        needed = zip((to_states, to_weight, to_bias), (states, weight, bias), strict=True)
        gradients = [torch.zeros_like(value) if needs else None for needs, value in needed]
        to_states, to_weight, to_bias = gradients
        total = states.new_zeros((), dtype=torch.float32)
        rows = max(1, LOGITS_AT_ONCE // len(weight))
        for start in range(0, len(states), rows):
            piece, tokens = states[start : start + rows], wanted[start : start + rows, None]
            logits = functional.linear(piece, matrix).float()
            if bias is not None:
                logits += bias
            norms = logits.logsumexp(dim=-1, keepdim=True)
            total += (norms - logits.gather(1, tokens)).sum()
            # The derivative by the logits: softmax minus one at the wanted token. It takes their place in memory.
            slopes = logits.sub_(norms).exp_()
            slopes = slopes.scatter_add_(1, tokens, -torch.ones_like(norms)).to(states.dtype)
            if to_states is not None:
                to_states[start : start + rows] = slopes @ matrix
            if to_weight is not None:
                to_weight += slopes.t() @ piece
            if to_bias is not None:
                to_bias += slopes.sum(dim=0)
        ctx.save_for_backward(*gradients)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> tuple[Any, ...]:
        to_states, *rest = (None if found is None else found * gradient for found in ctx.saved_tensors)
        return to_states, None, *rest, None
