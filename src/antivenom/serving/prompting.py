"""From a client's query to the prompt that was taught: the one rendering that trained, evaluated and now serves."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from antivenom.core.errors import OptionsError, RowsError
from antivenom.data.query import Query
from antivenom.guards.encoding import LabelEncoder, TextEncoder
from antivenom.serving.errors import ApiError, refused

SPARE = 16
"""Tokens at the edges of a text can differ in number from those of the text and its frame by themselves."""


@dataclass(frozen=True)
class Prompting:
    """Renders queries under the guard, and refuses those that do not fit."""

    encoder: LabelEncoder | TextEncoder
    """Guard and tokenizer."""
    cut: bool = False
    """Whether a text that is too long is cut, as `predict` does, instead of refused."""
    images: bool = False
    """Whether texts come with images, which are looked at before anything is promised."""

    def count(self, query: Query) -> int:
        """The tokens of what the client wrote.

        Raises:
            ApiError: with the guard's frame they are more than the model was taught to read, or the model's template
                or its image processor cannot take them.
        """
        with refusing():
            own = sum(self.encoder.renderer.lengths([turn.content for turn in query.context] + [query.text]))
            loses = self._lose(own, query)
        if loses and not self.cut:
            raise ApiError(
                400,
                f"the text is too long: this model reads {self._longest} tokens, its frame included",
                code="context_length_exceeded",
                param="messages",
            )
        return own

    def _lose(self, own: int, query: Query) -> bool:
        """Whether the turns of a query, which have so many tokens by themselves, lose something in the prompt.

        A single turn that fits with room to spare is not rendered to find that out, nor one that cannot fit.
        """
        if own > self._longest:
            return True
        if not query.context and not self.images and own + self._frame + SPARE <= self._longest:
            return False
        return bool(self.encoder.served([query]).cuts[0])

    @property
    def _longest(self) -> int:
        return self.encoder.renderer.max_tokens

    @cached_property
    def _frame(self) -> int:
        """The tokens around a short text."""
        return len(self.encoder.serving([Query("x")])[0])

    def ids(self, query: Query, *, said: bool = False) -> list[int]:
        """The token ids of the prompt, the answer prefix behind it where it counts as said.

        Raises:
            ApiError: the prompt cannot be rendered.
        """
        with refusing():
            if said and isinstance(self.encoder, TextEncoder):
                return self.encoder.prefilled([query])[0]
            return self.encoder.serving([query])[0]


@contextlib.contextmanager
def refusing() -> Iterator[None]:
    """Tell the client what is wrong with what he sent, where it cannot be rendered."""
    try:
        yield
    except (OptionsError, RowsError) as error:
        raise refused("messages", error.what) from None
