"""vLLM. Its former `guided_choice` fields answer 200 and restrict nothing; `structured_outputs` does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from antivenom.serving.engines.base import Continued, Engine, Words


class VLLM(Engine):
    """`vllm serve MERGED`; log-probabilities are those before the restriction (`--logprobs-mode raw_logprobs`)."""

    name: ClassVar[str] = "vllm"

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
            "return_tokens_as_token_ids": True,
        }

    def restricted(self, body: dict[str, Any], words: Words) -> dict[str, Any]:
        """Restrict by `structured_outputs.choice`."""
        return {**body, "structured_outputs": {"choice": list(words.tokens)}}
