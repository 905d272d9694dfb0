"""`transformers serve`. It tells no probabilities and has no grammar; a bias on token sequences restricts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, ClassVar

from antivenom.serving.engines.base import Continued, Engine, Words

BIAS = 1e4
"""Added to the logits of what is allowed: more than any two logits differ by."""


class TransformersServe(Engine):
    """`transformers serve MERGED`."""

    name: ClassVar[str] = "transformers"
    probabilities: ClassVar[bool] = False
    stepwise: ClassVar[bool] = True

    def body(self, prompt: Continued, *, longest: int, stops: Sequence[int]) -> dict[str, Any]:
        """The request that continues a prompt; see `engines.base.Engine`."""
        settings = {
            "do_sample": False,
            "max_new_tokens": longest,
            "eos_token_id": list(stops),
            "pad_token_id": stops[0],
        }
        return {"prompt": prompt.text, "max_tokens": longest, "generation_config": json.dumps(settings)}

    def restricted(self, body: dict[str, Any], words: Words) -> dict[str, Any]:
        """Restrict the next token to the first one of each word."""
        settings = json.loads(body["generation_config"])
        first = sorted({tokens[0] for tokens in words.tokens.values()})
        settings["sequence_bias"] = [[[token], BIAS] for token in first]
        return {**body, "generation_config": json.dumps(settings)}
