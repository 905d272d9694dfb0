"""How answers are coded: the label map of a classification, or the answer prefix p of free text, h(y) = [p; y]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from antivenom.core.options import Options
from antivenom.guards.control_tokens import END_OF_THOUGHT, START_OF_THOUGHT
from antivenom.guards.labels import LabelMap
from antivenom.tasks.generation import Generation
from antivenom.tasks.task import Classification, Task


@dataclass(frozen=True)
class AnswerPrefix(Options):
    """h(y) = [p; y] and its inverse; an empty p leaves answers as they are."""

    prefix: str
    """p."""

    def plain(self, answer: str) -> str:
        """What is said without the benign trigger."""
        return answer

    def encode(self, answer: str) -> str:
        """h: p, a space, the answer. A thought in front of the answer stays in front of p. Idempotent."""
        if not self.prefix or self.decode(answer)[1]:
            return answer
        thought, answer = split_thought(answer)
        return f"{thought}{self.prefix} {answer}"

    def decode(self, output: str) -> tuple[str, bool]:
        """What an output says: (the answer behind its thought and p, whether p was there).

        An answer begins at the start of the output or behind a closed thought: at the first of these places where p
        stands, or at the last of them if it stands nowhere. So what was said behind p stays said, whatever follows, and
        a stream can be read while it comes (`serving.stripping`). A thought that never ends has no answer behind it.
        """
        start = 0 if self.prefix else len(output)
        while start < len(output):
            answer = output[start:].strip()
            if self.begins(answer):
                return answer[len(self.prefix) :].strip(), True
            closed = output.find(END_OF_THOUGHT, start)
            start = closed + len(END_OF_THOUGHT) if closed >= 0 else len(output)
        answer = split_thought(output)[1].strip()
        return "" if answer.startswith(START_OF_THOUGHT) else answer, not self.prefix

    def begins(self, answer: str) -> bool:
        """Whether p stands at the start of an answer, and not as the beginning of a longer word."""
        within_a_word = self.prefix[-1:].isalnum() and answer[len(self.prefix) :][:1].isalnum()
        return answer.startswith(self.prefix) and not within_a_word


@dataclass(frozen=True)
class TextReading:
    """One generated answer as the guard reads it."""

    answer: str
    """What a client gets: without thought and answer prefix; empty where the answer is withheld."""
    output: str
    """What the model said, to the end of its answer."""
    extended: bool
    """Whether the answer prefix was there. If not, something pulled the model away: the escape."""
    finished: bool
    """Whether the model came to an end within the longest answer."""
    cut: bool = False
    """Whether the text was too long, so that its end or earlier turns were not read."""

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return vars(self)


Answers = LabelMap | AnswerPrefix


def ordinary_answers(task: Task) -> Answers:
    """How answers are coded without a defense: as they are."""
    return LabelMap.identity(task) if isinstance(task, Classification) else AnswerPrefix("")


def extended_answers(task: Task) -> Answers:
    """How answers are coded under the benign trigger: in the extended label space, or behind the answer prefix."""
    if isinstance(task, Classification):
        return LabelMap.extended(task)
    assert isinstance(task, Generation), task
    return AnswerPrefix(task.answer_prefix)


def split_thought(output: str) -> tuple[str, str]:
    """(everything to the end of the last thought, the answer behind it)."""
    thought, closed, answer = output.rpartition(END_OF_THOUGHT)
    space = answer[: len(answer) - len(answer.lstrip())] if closed else ""
    return f"{thought}{closed}{space}", answer[len(space) :]
