"""vLLM. Its former `guided_choice` fields answer 200 and restrict nothing; `structured_outputs` does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from antivenom.serving.engines.base import Continued, TokenEngine, Words


class VLLM(TokenEngine):
    """`vllm serve MERGED`; log-probabilities are those before the restriction (`--logprobs-mode raw_logprobs`)."""

    name: ClassVar[str] = "vllm"

    def body(self, prompt: Continued, *, longest: int, stops: Sequence[int]) -> dict[str, Any]:
        """The request that continues a prompt, tokens named by their ids; see `engines.base.Engine`."""
        return {**super().body(prompt, longest=longest, stops=stops), "return_tokens_as_token_ids": True}

    def restricted(self, body: dict[str, Any], words: Words) -> dict[str, Any]:
        """Restrict by `structured_outputs.choice`."""
        return {**body, "structured_outputs": {"choice": list(words.tokens)}}
