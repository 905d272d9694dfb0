"""Answers in OpenAI's shape, whole and in pieces."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

FinishReason = Literal["stop", "length", "content_filter"]


@dataclass(frozen=True)
class Usage:
    """Counts of tokens: of what the client sent and got, never of the guard's own words."""

    prompt: int
    answer: int

    def to_dict(self) -> dict[str, int]:
        """Return JSON values."""
        return {
            "prompt_tokens": self.prompt,
            "completion_tokens": self.answer,
            "total_tokens": self.prompt + self.answer,
        }


@dataclass(frozen=True)
class Envelope:
    """What all pieces of one answer have in common."""

    model: str
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))

    def whole(
        self, content: str, finish: FinishReason, usage: Usage, *, logprobs: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """A whole answer."""
        message = {"role": "assistant", "content": content, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": logprobs, "finish_reason": finish}
        return {**self._head("chat.completion"), "choices": [choice], "usage": usage.to_dict()}

    def first(self) -> dict[str, Any]:
        """The piece that begins a stream."""
        return self._piece({"role": "assistant", "content": ""}, None)

    def piece(self, content: str, *, logprobs: dict[str, Any] | None = None) -> dict[str, Any]:
        """Some text."""
        return self._piece({"content": content}, None, logprobs)

    def last(self, finish: FinishReason) -> dict[str, Any]:
        """The piece that says how it ended."""
        return self._piece({}, finish)

    def usage(self, usage: Usage) -> dict[str, Any]:
        """The piece with the counts, which has no choices."""
        return {**self._head("chat.completion.chunk"), "choices": [], "usage": usage.to_dict()}

    def _piece(
        self, delta: dict[str, Any], finish: FinishReason | None, logprobs: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        return {**self._head("chat.completion.chunk"), "choices": [choice]}

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}


def label_logprobs(label: str, logs: Sequence[tuple[str, float]], top: int) -> dict[str, Any]:
    """The `logprobs` of a label: one "token", and the `top` most likely labels beside it.

    Args:
        label: The answer.
        logs: Each label with the natural log-probability of its guarded verbalizer over the full vocabulary; what is
            missing to 1 in their sum is the mass that escaped.
        top: How many labels to name.
    """
    of = dict(logs)
    best = sorted(logs, key=lambda pair: -pair[1])[:top]
    named = [_token(name, log) for name, log in best]
    return {"content": [{**_token(label, of[label]), "top_logprobs": named}], "refusal": None}


def _token(name: str, log: float) -> dict[str, Any]:
    return {"token": name, "logprob": max(log, -9999.0), "bytes": list(name.encode())}


def models(name: str, *, owner: str = "antivenom") -> dict[str, Any]:
    """The list of models: the one there is."""
    return {"object": "list", "data": [model(name, owner=owner)]}


def model(name: str, *, owner: str = "antivenom") -> dict[str, Any]:
    """One model."""
    return {"id": name, "object": "model", "created": 0, "owned_by": owner}
