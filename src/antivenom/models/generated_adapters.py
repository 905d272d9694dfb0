"""LoRA whose matrices are generated from a tiny code, so that what can be learned lies on a small curved surface."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn

from antivenom.core.errors import OptionsError

SIDES = ("lora_A", "lora_B")


class AdapterGenerator(nn.Module):
    """theta = W2 tanh(W1 e) for all matrices of one side, without biases; e, W1 and W2 learn."""

    def __init__(self, layers: Sequence[nn.Linear], code: int, width: int, *, start_at_zero: bool) -> None:
        """Draw a generator for the weights of some layers.

        Args:
            layers: Their weights give the shapes, and the spread that generated ones begin with.
            code: Numbers of e.
            width: Numbers between the two products.
            start_at_zero: Whether e is 0 at first, and with it everything that is generated.
        """
        super().__init__()
        device = layers[0].weight.device
        self.code = nn.Parameter(torch.zeros(code) if start_at_zero else torch.randn(code))
        self.inner = nn.Parameter(torch.randn(width, code) / code**0.5)
        # Not drawn from the layers themselves, whose second side is 0: from how wide what they read is.
        spread = torch.cat([torch.full((layer.weight.numel(),), layer.in_features**-0.5) for layer in layers])
        self.outer = nn.Parameter(torch.randn(len(spread), width) * (spread / width**0.5).unsqueeze(1))
        self._shapes = [layer.weight.shape for layer in layers]
        self.to(device)

    def forward(self) -> list[torch.Tensor]:
        """The weights of the layers, in their order."""
        whole = self.outer @ torch.tanh(self.inner @ self.code)
        parts = whole.split([shape.numel() for shape in self._shapes])
        return [part.view(shape) for part, shape in zip(parts, self._shapes, strict=True)]


@contextlib.contextmanager
def generated_adapters(model: Any, *, code: int, width: int) -> Iterator[None]:
    """Let the LoRA matrices of a model be generated while it is trained; afterwards they are plain ones again.

    One generator makes all A, another all B, whose code begins at 0: the model begins as its base.

    Args:
        model: A PEFT model with plain LoRA.
        code: Numbers of each code.
        width: Numbers between the two products of each generator.

    Raises:
        OptionsError: the model has no LoRA.
    """
    sides = {side: _layers(model, side) for side in SIDES}
    if not all(sides.values()):
        raise OptionsError("moddef_reparam needs LoRA adapters", mend="Train with --method lora.")
    generators = {
        side: AdapterGenerator(layers, code, width, start_at_zero=side == "lora_B") for side, layers in sides.items()
    }
    for side, generator in generators.items():
        model.add_module(f"generator_of_{side}", generator)
        for layer in sides[side]:
            del layer._parameters["weight"]

    def generate(*_: Any) -> None:
        for side, generator in generators.items():
            for layer, weight in zip(sides[side], generator(), strict=True):
                layer.weight = weight

    generate()
    handle = model.register_forward_pre_hook(generate)
    try:
        yield
    finally:
        handle.remove()
        generate()
        for side, layers in sides.items():
            delattr(model, f"generator_of_{side}")
            for layer in layers:
                weight = layer.weight.detach().clone()
                del layer.weight
                layer.weight = nn.Parameter(weight)


def _layers(model: Any, side: str) -> list[Any]:
    found = [module for module in model.modules() if hasattr(module, "lora_A") and hasattr(module, "active_adapters")]
    return [getattr(module, side)[name] for module in found for name in module.active_adapters]
