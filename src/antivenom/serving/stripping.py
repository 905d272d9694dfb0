"""Take the answer prefix off while an answer streams: the same answer as from the whole text, however it is cut."""

from __future__ import annotations

from collections.abc import Sequence

from antivenom.guards.answers import AnswerPrefix
from antivenom.guards.control_tokens import END_OF_THOUGHT, START_OF_THOUGHT


class PrefixStripper:
    """Reads an output piece by piece: what `feed` and `finish` return, joined, is `AnswerPrefix.decode(output)[0]`.

    Nothing is let through before the prefix was seen. An output that lacks it is known as such at its end alone,
    because a thought may stand in front of the prefix; all of it is held until then.
    """

    def __init__(self, answers: AnswerPrefix) -> None:
        """Read the outputs of a model whose answers are coded so."""
        self._answers = answers
        self._held = ""
        self._found = False
        self._begun = False
        self.open = False
        """Whether the output ended within a thought or within the prefix, so that either could have followed; known
        once it has ended."""

    @property
    def found(self) -> bool:
        """Whether the prefix was seen; from then on text is let through."""
        return self._found

    def feed(self, piece: str) -> str:
        """Take the next piece of the output; return what a client may see of it."""
        self._held += piece
        if not self._found and not self._seek():
            return ""
        return self._let_through()

    def finish(self) -> str:
        """The output has ended: return the rest of what a client may see; `found` is final now."""
        if self._found:
            return ""  # what is held is white space at the end
        rest = self._held.lstrip()
        thinks = rest.startswith(START_OF_THOUGHT) and END_OF_THOUGHT not in rest
        self.open = thinks or self._answers.prefix.startswith(rest)
        answer, self._found = self._answers.decode(self._held)
        return answer

    def _seek(self) -> bool:
        """Look for the prefix where an answer may begin; forget the places where it does not stand."""
        prefix = self._answers.prefix
        while prefix:
            answer = self._held.lstrip()
            if len(answer) > len(prefix) and self._answers.begins(answer):
                self._held, self._found = answer[len(prefix) :], True
                return True
            closed = self._held.find(END_OF_THOUGHT)
            if prefix.startswith(answer[: len(prefix)]) or closed < 0:
                return False
            self._held = self._held[closed + len(END_OF_THOUGHT) :]
        return False

    def _let_through(self) -> str:
        text = self._held if self._begun else self._held.lstrip()
        shown = text.rstrip()
        self._held = text[len(shown) :]
        self._begun = self._begun or bool(shown)
        return shown


class StopFilter:
    """Ends an answer at the first of a client's stop strings: behind the guard, so that it cannot cut the prefix."""

    def __init__(self, stops: Sequence[str]) -> None:
        """Look for these strings; none may be empty."""
        self._stops = tuple(stops)
        self._held = ""
        self.stopped = False

    def feed(self, piece: str) -> str:
        """Take the next piece; return what stands in front of a stop string, as far as that is known."""
        if self.stopped:
            return ""
        text = self._held + piece
        places = [place for stop in self._stops if (place := text.find(stop)) >= 0]
        if places:
            self.stopped, self._held = True, ""
            return text[: min(places)]
        keep = max((_overlap(text, stop) for stop in self._stops), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def finish(self) -> str:
        """The answer has ended: what was held was no stop string."""
        held, self._held = self._held, ""
        return "" if self.stopped else held


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of `text` begin `stop` without completing it."""
    longest = min(len(text), len(stop) - 1)
    return next((size for size in range(longest, 0, -1) if text.endswith(stop[:size])), 0)
