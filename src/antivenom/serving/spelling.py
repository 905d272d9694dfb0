"""How the choices of a label map are spelled behind a prompt: for engines that speak text instead of token ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from antivenom.guards.encoding import LabelEncoder, TextEncoder
from antivenom.serving.engines.base import Continued, Words


@dataclass(frozen=True)
class Choices:
    """The choices of a classification as a tree of tokens."""

    encoder: LabelEncoder
    """Guard and tokenizer."""

    @cached_property
    def words(self) -> tuple[str, ...]:
        """Each choice of the label map, as it is spelled right behind the prompt's tokens."""
        return tuple(self.text(tokens) for tokens in self.encoder.choices)

    @cached_property
    def allowed(self) -> Words:
        """What a guarded answer may be."""
        return Words({self.words[c]: self.encoder.choices[c] for c in self.encoder.guard.labels.allowed})

    @cached_property
    def inner(self) -> tuple[tuple[int, ...], ...]:
        """The beginnings behind which there is a choice, shortest first; the empty one is the prompt itself."""
        return tuple(sorted({choice[:d] for choice in self.encoder.choices for d in range(len(choice))}, key=len))

    @cached_property
    def longest(self) -> int:
        """Tokens of the longest choice."""
        return max(map(len, self.encoder.choices))

    def next_tokens(self, beginning: tuple[int, ...]) -> dict[int, str]:
        """The tokens that lead from a beginning towards a choice, and how each is spelled."""
        size = len(beginning)
        tokens = {c[size] for c in self.encoder.choices if len(c) > size and c[:size] == beginning}
        return {token: self.text((token,)) for token in sorted(tokens)}

    def of_text(self, said: str) -> int | None:
        """The allowed choice that an engine's text is, or None. White space around it does not count."""
        found = [c for c in self.encoder.guard.labels.allowed if said.strip() == self.words[c].strip()]
        return found[0] if found else None

    def text(self, tokens: Sequence[int]) -> str:
        """Tokens as text, a word's leading space included."""
        return spelled(self.encoder.renderer.tokenizer, tokens)


def spelled(tokenizer: Any, tokens: Sequence[int]) -> str:
    """Tokens as they are spelled in the middle of a text: SentencePiece drops the space of the first one."""
    text = str(tokenizer.decode(list(tokens), clean_up_tokenization_spaces=False))
    if not tokens:
        return ""
    first = str(tokenizer.convert_ids_to_tokens([tokens[0]])[0])
    return f" {text}" if first.startswith("▁") and not text.startswith(" ") else text


def continued(encoder: LabelEncoder | TextEncoder, ids: Sequence[int]) -> Continued:
    """A prompt as ids and as text, without what a tokenizer puts in front by itself."""
    tokenizer = encoder.renderer.tokenizer
    own = tokenizer("", add_special_tokens=True)["input_ids"]
    front = list(own[:1]) if own and own[0] == tokenizer.bos_token_id else []
    rest = list(ids[len(front) :]) if front and list(ids[: len(front)]) == front else list(ids)
    text = str(tokenizer.decode(rest, skip_special_tokens=False, clean_up_tokenization_spaces=False))
    return Continued(tuple(ids), text)
