"""SGLang."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, ClassVar

from antivenom.serving.engines.base import Continued, Engine, Words


class SGLang(Engine):
    """`python -m sglang.launch_server --model-path MERGED`."""

    name: ClassVar[str] = "sglang"

    def body(self, prompt: Continued, *, longest: int, stops: Sequence[int]) -> dict[str, Any]:
        """The request that continues a prompt; see `engines.base.Engine`."""
        return {
            "prompt": list(prompt.ids),
            "max_tokens": longest,
            "temperature": 0,
            "repetition_penalty": 1.0,  # a model's generation_config.json would set it otherwise
            "presence_penalty": 0,
            "frequency_penalty": 0,
            "stop_token_ids": list(stops),
        }

    def restricted(self, body: dict[str, Any], words: Words) -> dict[str, Any]:
        """Restrict by `regex`."""
        return {**body, "regex": f"({'|'.join(map(re.escape, words.tokens))})"}
