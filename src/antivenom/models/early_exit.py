"""Run a model no further than to one of its layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn


class _Reached(Exception):  # noqa: N818 - ends a forward pass, is no error
    """Carries the hidden states out of a forward pass that has got to the layer."""

    def __init__(self, states: torch.Tensor) -> None:
        super().__init__()
        self.states = states


def states_into(layer: nn.Module, run: Callable[[], Any]) -> torch.Tensor:
    """The hidden states that a forward pass gives to a layer, at which it ends."""

    def stop(_: nn.Module, args: tuple[Any, ...], named: dict[str, Any]) -> None:
        raise _Reached(args[0] if args else named["hidden_states"])

    handle = layer.register_forward_pre_hook(stop, with_kwargs=True)
    try:
        run()
    except _Reached as reached:
        return reached.states
    finally:
        handle.remove()
    raise AssertionError("the layer was never reached")
