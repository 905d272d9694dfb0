"""Whole weights out of a model that FSDP2 has spread over processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from antivenom.core.errors import OptionsError
from antivenom.core.processes import is_first, is_sharded


def require_fsdp2(plugin: Any) -> None:
    """Refuse the older FSDP, which joins parameters into flat ones whose names are lost.

    Args:
        plugin: Accelerate's settings of FSDP; None without it.

    Raises:
        OptionsError: says how to choose the newer one.
    """
    if plugin is not None and plugin.fsdp_version != 2:
        raise OptionsError("FSDP of version 1", mend="Launch with `accelerate launch --use_fsdp --fsdp_version 2`.")


def whole_model(trained: Any, build: Callable[[], Any]) -> Any:
    """The trained model in one piece, in the first process; the others only hand in their parts.

    Args:
        trained: The model that was trained; returned as it is where it was never spread.
        build: Makes an untrained model with the same parameters.
    """
    if not is_sharded():
        return trained
    learned = {}
    for name, parameter in trained.named_parameters():
        if parameter.requires_grad:
            whole = parameter.full_tensor() if hasattr(parameter, "full_tensor") else parameter
            learned[name] = whole.detach().cpu() if is_first() else None
    if not is_first():
        return trained
    model = build()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name in learned:
                parameter.copy_(learned.pop(name))
    assert not learned, f"parameters without a place: {sorted(learned)[:3]}"
    return model
