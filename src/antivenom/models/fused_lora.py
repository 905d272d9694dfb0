"""LoRA layers in fewer passes over memory: y = x W' + s (x A') B', the sum made inside the matrix multiplication.

PEFT's layer writes the low-rank product, scales it, adds it, and does the same three backwards; at rank 16 these
passes over memory cost more than the arithmetic. Values and gradients are the same up to rounding; the parameters stay
PEFT's own, so nothing else notices.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from antivenom.models.precision import working_weight


class _LoraProduct(torch.autograd.Function):
    """x W' + b + s (x A') B' with a frozen W, in the type of x; the gradients of A and B are in their own."""

    @staticmethod
    def forward(ctx: Any, x: Any, weight: Any, bias: Any, down: Any, up: Any, scale: float) -> Any:
        ctx.kinds = down.dtype, up.dtype
        down, up = down.to(x.dtype), up.to(x.dtype)
        flat = x.reshape(-1, x.shape[-1])
        low = flat @ down.t()
        out = functional.linear(flat, weight, bias).addmm_(low, up.t(), alpha=scale)
        ctx.save_for_backward(flat, weight, down, up, low)
        ctx.scale = scale
        ctx.shape = x.shape
        return out.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, gradient: Any) -> tuple[Any, ...]:
        flat, weight, down, up, low = ctx.saved_tensors
        above = gradient.reshape(-1, gradient.shape[-1])
        above_low = (above @ up).mul_(ctx.scale)
        to_down, to_up = above_low.t() @ flat, (above.t() @ low).mul_(ctx.scale)
        to_x = None
        if ctx.needs_input_grad[0]:
            to_x = (above @ weight).addmm_(above_low, down).view(ctx.shape)
        return to_x, None, None, to_down.to(ctx.kinds[0]), to_up.to(ctx.kinds[1]), None


@contextlib.contextmanager
def fused_lora(model: Any) -> Iterator[int]:
    """Let the plain LoRA layers of a PEFT model compute in fewer passes; others stay as they are.

    Yields:
        How many layers that concerns. None, for instance, with dropout, DoRA, or quantized weights.
    """
    from peft.tuners.lora.layer import Linear

    changed = [module for module in model.modules() if type(module) is Linear and _is_plain(module)]
    try:
        for module in changed:
            module.forward = functools.partial(_forward, module)
        yield len(changed)
    finally:
        for module in changed:
            del module.forward


def _is_plain(layer: Any) -> bool:
    if len(layer.active_adapters) != 1 or layer.active_adapters[0] not in layer.lora_A:
        return False
    name = layer.active_adapters[0]
    base, down, up = layer.base_layer, layer.lora_A[name], layer.lora_B[name]
    return (
        type(base) is nn.Linear
        and not base.weight.requires_grad
        and (base.bias is None or not base.bias.requires_grad)
        and isinstance(layer.lora_dropout[name], nn.Identity)
        and name not in layer.lora_variant
        and up.bias is None
        and base.weight.is_floating_point()
        and down.weight.dtype == up.weight.dtype
    )


def _forward(layer: Any, x: Any) -> Any:
    if layer.merged or layer.disable_adapters:
        return type(layer).forward(layer, x)
    name, base, place = layer.active_adapters[0], layer.base_layer, x.device.type
    kind = torch.get_autocast_dtype(place) if torch.is_autocast_enabled(place) else x.dtype
    weight, bias = working_weight(base, kind), None if base.bias is None else base.bias.to(kind)
    down, up = layer.lora_A[name].weight, layer.lora_B[name].weight
    return _LoraProduct.apply(x.to(kind), weight, bias, down, up, layer.scaling[name])
