"""llama.cpp: `llama-server`, and the server of llama-cpp-python."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from antivenom.serving.engines.base import Continued, Engine, Words, by_id


class LlamaCpp(Engine):
    """`llama-server -m MODEL.gguf`, or `python -m llama_cpp.server --model MODEL.gguf --logits_all true`."""

    name: ClassVar[str] = "llamacpp"

    def body(self, prompt: Continued, *, longest: int, stops: Sequence[int]) -> dict[str, Any]:
        """The request that continues a prompt; see `engines.base.Engine`. The GGUF file says what ends an answer."""
        return {
            "prompt": prompt.text,
            "max_tokens": longest,
            "temperature": 0,
            "repeat_penalty": 1.0,  # llama-cpp-python's own is not neutral in every version
            "presence_penalty": 0,
            "frequency_penalty": 0,
        }

    def restricted(self, body: dict[str, Any], words: Words) -> dict[str, Any]:
        """Restrict by a GBNF grammar."""
        quoted = (json.dumps(word, ensure_ascii=False) for word in words.tokens)
        return {**body, "grammar": f"root ::= {' | '.join(quoted)}"}

    def _named(self, logprobs: Mapping[str, Any]) -> dict[str, float]:
        """`llama-server` names tokens as in a chat, with their ids; llama-cpp-python as OpenAI's completions do."""
        content = logprobs.get("content")
        if content is None:
            return super()._named(logprobs)
        return {by_id(int(one["id"])): float(one["logprob"]) for one in content[0]["top_logprobs"]}
