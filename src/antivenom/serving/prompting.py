"""From a client's query to the prompt that was taught: the one rendering that trained, evaluated and now serves."""

from __future__ import annotations

from dataclasses import dataclass

from antivenom.core.errors import OptionsError
from antivenom.data.query import Query
from antivenom.guards.encoding import LabelEncoder, TextEncoder
from antivenom.serving.errors import ApiError, refused


@dataclass(frozen=True)
class Prompting:
    """Renders queries under the guard, and refuses those that do not fit."""

    encoder: LabelEncoder | TextEncoder
    """Guard and tokenizer."""
    cut: bool = False
    """Whether a text that is too long is cut, as `predict` does, instead of refused."""

    def count(self, query: Query) -> int:
        """The tokens of what the client wrote.

        Raises:
            ApiError: with the guard's frame they are more than the model was taught to read.
        """
        renderer = self.encoder.renderer
        turns = [turn.content for turn in query.context] + [query.text]
        # What spells a control token is broken up before the model reads it, and counts so.
        encoded = renderer.tokenizer(turns, add_special_tokens=False, split_special_tokens=True, verbose=False)
        own = sum(map(len, encoded["input_ids"]))
        if not self.cut and self._lose(own, query):
            raise ApiError(
                400,
                f"the text is too long: this model reads {renderer.max_tokens} tokens, its frame included",
                code="context_length_exceeded",
                param="messages",
            )
        return own

    def _lose(self, own: int, query: Query) -> bool:
        """Whether the turns of a query, which have so many tokens by themselves, lose something in the prompt.

        Most are far from the limit, on either side; only the others are rendered to see what would be left out.
        """
        longest = self.encoder.renderer.max_tokens
        return own > 2 * longest or (own > longest // 2 and bool(self.encoder.served([query]).cuts[0]))

    def ids(self, query: Query, *, said: bool = False) -> list[int]:
        """The token ids of the prompt, the answer prefix behind it where it counts as said.

        Raises:
            ApiError: the prompt cannot be rendered.
        """
        try:
            if said and isinstance(self.encoder, TextEncoder):
                return self.encoder.prefilled([query])[0]
            return self.encoder.serving([query])[0]
        except OptionsError as error:
            raise refused("messages", error.what) from None
