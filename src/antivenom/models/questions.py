"""What defenses ask a model beyond scores: losses of rows, states where answers are predicted, head gradients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from antivenom.core.arrays import Floats
from antivenom.core.progress import Advance
from antivenom.models.batches import length_batches, pad_left, positions
from antivenom.models.lab import Example, HeadGradient

TOKEN_BUDGET = 4096
"""Padded tokens per pass."""
GRADIENTS_TOGETHER = 64
"""So many rows' gradients are in memory at once: each has a number for every word of the vocabulary."""


def row_losses(model: Any, examples: Sequence[Example], *, advance: Advance) -> Floats:
    """The mean cross-entropy (natural) of each example's answer tokens; shape (examples,).

    Args:
        model: A causal language model of transformers; it is put into evaluation mode.
        examples: Prompts and answers.
        advance: Is told of examples that are done.
    """
    found = np.zeros(len(examples))
    for rows, states, answers in _answered(model, examples, advance):
        for row, state, answer in zip(rows, states, answers, strict=True):
            logs = torch.log_softmax(_head(model)(state).float(), dim=-1)
            found[row] = -float(logs[torch.arange(len(answer)), answer].mean())
    return found


def answer_states(model: Any, prompts: Sequence[list[int]], *, advance: Advance) -> npt.NDArray[np.float32]:
    """The last hidden state behind each prompt, from which the answer is predicted; shape (prompts, width)."""
    found = np.zeros((len(prompts), model.config.get_text_config().hidden_size), dtype=np.float32)
    for rows, states in _last_states(model, [list(prompt) for prompt in prompts], [1] * len(prompts), advance):
        found[rows] = torch.stack([state[-1] for state in states]).float().cpu().numpy()
    return found


def head_gradients(model: Any, examples: Sequence[Example], *, advance: Advance) -> Iterator[HeadGradient]:
    """The gradient of each example's summed cross-entropy with respect to the head, in two factors, in order."""
    for first in range(0, len(examples), GRADIENTS_TOGETHER):
        found: dict[int, HeadGradient] = {}
        for rows, states, answers in _answered(model, examples[first : first + GRADIENTS_TOGETHER], advance):
            for row, state, answer in zip(rows, states, answers, strict=True):
                errors = torch.softmax(_head(model)(state).float(), dim=-1)
                errors[torch.arange(len(answer)), answer] -= 1
                found[row] = HeadGradient(state.float().cpu().numpy(), errors.cpu().numpy())
        yield from (found[row] for row in sorted(found))


def _head(model: Any) -> Any:
    return model.get_output_embeddings()


def _answered(
    model: Any, examples: Sequence[Example], advance: Advance
) -> Iterator[tuple[list[int], list[torch.Tensor], list[torch.Tensor]]]:
    """(numbers of examples, the states that predict each one's answer tokens, these tokens), batch by batch."""
    inputs = [[*prompt, *answer[:-1]] for prompt, answer in examples]
    wanted = [len(answer) for _, answer in examples]
    for rows, states in _last_states(model, inputs, wanted, advance):
        yield rows, states, [torch.tensor(examples[row][1], device=states[0].device) for row in rows]


def _last_states(
    model: Any, inputs: Sequence[list[int]], wanted: Sequence[int], advance: Advance
) -> Iterator[tuple[list[int], list[torch.Tensor]]]:
    """(numbers of inputs, the last hidden states of each, as many as wanted), batch by batch, longest first."""
    causal = model.get_base_model() if hasattr(model, "get_base_model") else model
    device = next(causal.parameters()).device
    causal.eval()
    with torch.inference_mode():
        for rows in length_batches([len(ids) for ids in inputs], TOKEN_BUDGET):
            ids, mask = pad_left([inputs[row] for row in rows], device)
            out = causal.base_model(
                input_ids=ids, attention_mask=mask, position_ids=positions(mask), use_cache=False
            ).last_hidden_state
            yield list(rows), [state[-wanted[row] :] for row, state in zip(rows, out, strict=True)]
            advance(len(rows))
