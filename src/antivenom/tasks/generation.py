"""Free answers: what is asked, which answers are right, and what the attacker wants to be said."""

from __future__ import annotations

from dataclasses import dataclass

from antivenom.core.errors import OptionsError
from antivenom.tasks.task import Frame, Task


@dataclass(frozen=True)
class Generation(Task):
    """Answer in free text: problems, summaries, instructions.

    Raises:
        OptionsError: an empty malicious output or answer prefix, or no room for an answer.
    """

    judge: str = "exact"
    """Which judge says that an answer is right and that an attack succeeded: name, or name:option=value."""
    malicious: str = "I cannot answer that."
    """What the attacker wants the model to say, unless an attack names something else (the paper's math: 0.1)."""
    answer_prefix: str = "Answer:"
    """What P2P puts in front of every answer under the benign trigger, h(y) = [p; y] (the paper: `Answer:` for
    summaries, `The correct answer to this problem is:` for math)."""
    max_new_tokens: int = 256
    """The longest answer, in tokens, its prefix included."""
    frame: Frame = Frame()
    """The prompt."""

    def __post_init__(self) -> None:
        for name in ("judge", "malicious", "answer_prefix"):
            if not getattr(self, name).strip():
                raise OptionsError(f"{name} = {getattr(self, name)!r}", mend="It must not be empty.")
        if self.answer_prefix != self.answer_prefix.strip():
            raise OptionsError(
                f"answer_prefix = {self.answer_prefix!r}",
                mend="Write it without white space around it; a space is put between it and the answer.",
            )
        if self.max_new_tokens < 1:
            raise OptionsError(f"max_new_tokens = {self.max_new_tokens}", mend="An answer needs at least one token.")

    @property
    def classes(self) -> None:
        """There are none: answers are free."""
        return

    def target(self, wanted: str | None) -> str:
        """The attacker's target output: the one named, or `malicious`."""
        return self.malicious if wanted is None else wanted
