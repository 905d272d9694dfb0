"""What the gateway says to each engine: one file an engine."""

from __future__ import annotations

from typing import Literal

from antivenom.serving.engines.base import Engine
from antivenom.serving.engines.llamacpp import LlamaCpp
from antivenom.serving.engines.sglang import SGLang
from antivenom.serving.engines.transformers_serve import TransformersServe
from antivenom.serving.engines.vllm import VLLM

EngineName = Literal["vllm", "sglang", "llamacpp", "transformers"]
ENGINES: dict[EngineName, Engine] = {
    "vllm": VLLM(),
    "sglang": SGLang(),
    "llamacpp": LlamaCpp(),
    "transformers": TransformersServe(),
}
"""Every engine the gateway can stand in front of."""
