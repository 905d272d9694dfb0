"""What an engine is to the gateway: something that continues a prompt at `POST /v1/completions`.

The gateway never uses an engine's chat endpoint. The prompt is written here, with the guard, exactly as it was written
for training; the engine's chat template, its variables and its conversation roles are out of the way.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

PATH = "/v1/completions"
MOST_LIKELY = 20
"""How many tokens an engine names with their probabilities; vLLM allows no more unless told otherwise."""


@dataclass(frozen=True)
class Continued:
    """A prompt to be continued, as ids and as text; an engine takes one of them."""

    ids: tuple[int, ...]
    """Its token ids."""
    text: str
    """Its text. What the engine's tokenizer puts in front by itself is not in it."""


@dataclass(frozen=True)
class Words:
    """What the answer is restricted to."""

    tokens: Mapping[str, tuple[int, ...]]
    """Each word, as it is spelled right behind the prompt, with its token ids."""


@dataclass(frozen=True)
class Named:
    """The log-probabilities of an answer's first token, as far as an engine names them."""

    logs: Mapping[int, float]
    """Of the tokens that were looked for and named."""
    best: float
    """Of the most likely token, whichever it is."""


class Engine(ABC):
    """One kind of engine."""

    name: ClassVar[str]
    """What the user calls it."""
    probabilities: ClassVar[bool] = True
    """Whether it tells the log-probabilities of the most likely tokens, before any restriction."""
    stepwise: ClassVar[bool] = False
    """Whether a restriction holds for one token at a time, so that words are asked for token by token."""

    @abstractmethod
    def body(self, prompt: Continued, *, longest: int, stops: Sequence[int]) -> dict[str, Any]:
        """The request that continues a prompt with the most likely tokens.

        Args:
            prompt: What is continued.
            longest: The most tokens.
            stops: Tokens that end the answer.
        """

    def with_probabilities(self, body: dict[str, Any]) -> dict[str, Any]:
        """The same request, the most likely tokens named."""
        return {**body, "logprobs": MOST_LIKELY}

    @abstractmethod
    def restricted(self, body: dict[str, Any], words: Words) -> dict[str, Any]:
        """The same request, its answer restricted to some words."""

    def most_likely(self, choice: Mapping[str, Any], spelled: Mapping[int, str]) -> Named:
        """The log-probabilities an engine named for the first token of its answer.

        Args:
            choice: One of the `choices` of its response.
            spelled: The tokens that are looked for, and how each is spelled.

        Raises:
            ValueError: it named none.
        """
        try:
            named = self._named(choice["logprobs"])
            best = max(named.values())
        except (KeyError, IndexError, TypeError, AttributeError, ValueError):
            raise ValueError("the engine named no probabilities") from None
        found = {token: named.get(by_id(token), named.get(word)) for token, word in spelled.items()}
        return Named({token: log for token, log in found.items() if log is not None}, best)

    def _named(self, logprobs: Mapping[str, Any]) -> dict[str, float]:
        """What it named: by the token's spelling, or by `by_id`."""
        return {str(token): float(log) for token, log in logprobs["top_logprobs"][0].items()}


def by_id(token: int) -> str:
    """How an engine names a token that it names by id (vLLM's way)."""
    return f"token_id:{token}"


class TokenEngine(Engine):
    """An engine that takes a prompt as token ids, and is told which of them end an answer."""

    def body(self, prompt: Continued, *, longest: int, stops: Sequence[int]) -> dict[str, Any]:
        """The request that continues a prompt; see `Engine`."""
        return {
            "prompt": list(prompt.ids),
            "max_tokens": longest,
            "temperature": 0,
            "repetition_penalty": 1.0,  # a model's generation_config.json would set it otherwise
            "presence_penalty": 0,
            "frequency_penalty": 0,
            "stop_token_ids": list(stops),
        }
