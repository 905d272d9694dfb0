"""A prompt in its parts, before a tokenizer has seen it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from antivenom.data.query import Turn, turns_as_dicts
from antivenom.guards.control_tokens import break_known_markers


@dataclass(frozen=True)
class Prompt:
    """A prompt in its parts, so that only `text` is ever shortened."""

    before: str
    """What stands in front of the text."""
    text: str
    """The user's text."""
    after: str
    """What stands behind it, the cue last."""
    system: str = ""
    """What stands in front of the system turn; empty for nothing."""
    context: tuple[Turn, ...] = ()
    """The turns before the text, a system turn first."""
    image: bytes | None = None
    """An encoded image that belongs to the text."""
    thinks: bool = False
    """Whether a thinking model thinks before it answers."""

    @property
    def user(self) -> str:
        """The user's turn as one string."""
        return f"{self.before}{self.text}{self.after}"

    @property
    def turns(self) -> tuple[Turn, ...]:
        """Every turn, the text's last; there is one system turn at most."""
        own = self.context[0].content if self.context and self.context[0].role == "system" else ""
        system = "\n".join(part for part in (self.system, own) if part)
        others = self.context[1:] if own else self.context
        return (*((Turn("system", system),) if system else ()), *others, Turn("user", self.user))

    @property
    def plain(self) -> str:
        """The whole prompt as plain text; earlier turns of a conversation say who speaks."""
        *before, last = self.turns
        lines = [t.content if t.role == "system" else f"{t.role.capitalize()}: {t.content}" for t in before]
        return "\n".join([*lines, last.content])

    def without_markers(self) -> Prompt:
        """The prompt with a space inside every known control token that its text or its context spells.

        For prompts that are written down before anybody knows which tokenizer will read them.
        """
        context = tuple(replace(turn, content=break_known_markers(turn.content)) for turn in self.context)
        return replace(self, text=break_known_markers(self.text), context=context)

    @property
    def messages(self) -> list[dict[str, str]]:
        """The prompt as chat messages."""
        return turns_as_dicts(self.turns)
