"""What a model makes of questions on the way up: hidden states at their end, and their means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from antivenom.core.errors import OptionsError
from antivenom.core.progress import Advance
from antivenom.models.batches import length_batches, pad_right
from antivenom.models.early_exit import states_on_the_way

TOKEN_BUDGET = 4096
"""Padded tokens per pass."""
WIDTH = 1024
"""Numbers per text: wider states are projected, at random, onto so many directions."""

States = npt.NDArray[np.float32]


def inner_states(model: Any, prompts: Sequence[Sequence[int]], depths: Sequence[float], *, advance: Advance) -> States:
    """The hidden states of questions at some depths: at the end, where an answer is to follow, and the mean.

    Args:
        model: A causal language model of transformers, or one of images and text.
        prompts: The token ids of each question; the first token is not counted in the mean.
        depths: Shares of the layers, ascending.
        advance: Is told of questions that are done.

    Returns:
        Shape (prompts, depths, 2, `WIDTH` or the hidden size if that is less); the state at the end comes first.

    Raises:
        OptionsError: the model's layers cannot be found.
    """
    width = model.config.get_text_config().hidden_size
    directions = _directions(width)
    found = np.zeros((len(prompts), len(depths), 2, min(width, WIDTH)), dtype=np.float32)
    model.eval()
    with torch.inference_mode():
        for batch in length_batches([len(ids) for ids in prompts], TOKEN_BUDGET):
            ids, mask = pad_right([tuple(prompts[i]) for i in batch], next(model.parameters()).device)
            ends = mask.sum(1) - 1
            for place, states in enumerate(_states(model, ids, mask, depths)):
                last = states[torch.arange(len(batch)), ends].float().cpu().numpy()
                both = np.stack([last, _mean(states, mask)], axis=1)
                found[batch, place] = both if directions is None else both @ directions
            advance(len(batch))
    return found


def _mean(states: torch.Tensor, mask: torch.Tensor) -> States:
    """The mean over the tokens of each row but the first."""
    counted = mask.clone()
    counted[:, 0] = 0
    total = (states.float() * counted.unsqueeze(2)).sum(1)
    means: States = (total / counted.sum(1, keepdim=True).clamp(min=1)).cpu().numpy()
    return means


def _states(model: Any, ids: torch.Tensor, mask: torch.Tensor, depths: Sequence[float]) -> list[torch.Tensor]:
    """Run the decoder no further than the deepest layer that is wanted; what goes into each of them."""
    layers, decoder = _layers(model), model.get_decoder()
    wanted = [layers[min(max(round(depth * len(layers)), 1), len(layers) - 1)] for depth in depths]
    return states_on_the_way(wanted, lambda: decoder(input_ids=ids, attention_mask=mask, use_cache=False))


def _layers(model: Any) -> nn.ModuleList:
    decoder, count = model.get_decoder(), model.config.get_text_config().num_hidden_layers
    for module in decoder.modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return module
    raise OptionsError(
        f"{type(model).__name__} does not list its {count} layers, so texts cannot be read in between",
        mend="A defense without a referee can be used with this architecture.",
    )


def _directions(width: int) -> States | None:
    """`WIDTH` random directions, the same ones always, for states that are wider; None for others."""
    if width <= WIDTH:
        return None
    signs = np.random.default_rng(0).choice(np.array([-1, 1], dtype=np.float32), size=(width, WIDTH))
    directions: States = (signs / np.sqrt(WIDTH)).astype(np.float32)
    return directions
