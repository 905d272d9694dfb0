"""Run a model no further than to one of its layers, and listen on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn


class _Reached(Exception):  # noqa: N818 - ends a forward pass, is no error
    """A forward pass has got to the last layer that anybody listens to."""


def states_into(layer: nn.Module, run: Callable[[], Any]) -> torch.Tensor:
    """The hidden states that a forward pass gives to a layer, at which it ends."""
    return states_on_the_way([layer], run)[0]


def states_on_the_way(layers: Sequence[nn.Module], run: Callable[[], Any]) -> list[torch.Tensor]:
    """The hidden states that a forward pass gives to some layers, lowest first; it ends at the last of them."""
    found = list[torch.Tensor]()

    def note(_: nn.Module, args: tuple[Any, ...], named: dict[str, Any]) -> None:
        found.append(args[0] if args else named["hidden_states"])
        if len(found) == len(layers):
            raise _Reached

    handles = [layer.register_forward_pre_hook(note, with_kwargs=True) for layer in layers]
    try:
        run()
    except _Reached:
        return found
    finally:
        for handle in handles:
            handle.remove()
    raise AssertionError("the last layer was never reached")
