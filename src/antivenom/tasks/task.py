"""What is asked of the model, and the frame around each text.

A task knows its prompt, its answers (labels and the words that stand for them, or free text: `generation.py`) and what
an attacker wants. It knows nothing of defenses.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from antivenom.core.errors import OptionsError
from antivenom.core.options import Options

Style = Literal["plain", "chat"]
Thinking = Literal["closed", "open"]
Modality = Literal["text", "image+text"]
Words = Literal["auto", "words", "digits"]

LONGEST_FRAME = 100_000
"""Characters of instruction and cue together: they are tokenized with every text and every verbalizer."""
COUNTERPARTS = {
    "negative": "bad",
    "positive": "good",
    "neutral": "mixed",
    "no": "false",
    "yes": "true",
    "ham": "normal",
    "spam": "junk",
}
"""A second word of like meaning for common labels. The first two are the paper's (Table 7)."""


@dataclass(frozen=True)
class Frame(Options):
    """The prompt around a text: `{instruction}{text}{newline}{cue}`, bare or inside the model's chat template."""

    instruction: str = ""
    """Stands before every text, followed by a newline; empty for none."""
    cue: str = "Output:"
    """Stands on a line of its own behind every text; the model answers after it."""
    style: Style = "plain"
    """`plain` text (the paper's), or `chat`: one user turn in the tokenizer's own chat template."""
    max_tokens: int = 512
    """The longest prompt. Only the user's text is shortened to fit, never the frame around it (the paper's code cuts
    the end of the prompt, and with it the cue)."""
    modality: Modality = "text"
    """What is asked about: a text, or an image with a text, which needs an image-text-to-text model."""
    image_pixels: int = 1280 * 28**2
    """Larger images are scaled down to so many pixels before the model's own processor sees them: it may turn every
    28 x 28 of them into a token."""

    thinking: Thinking = "closed"
    """What a thinking model does before it answers: nothing (`closed`: its thought is written empty), or it thinks
    (`open`), which takes a chat and free answers. Answers begin behind the thought either way."""

    def __post_init__(self) -> None:
        if self.thinking == "open" and self.style != "chat":
            raise OptionsError(
                f"thinking = 'open' with style = {self.style!r}",
                mend="Only a chat template says where a thought stands: style = 'chat'.",
            )
        if self.modality != "text" and self.style != "chat":
            raise OptionsError(
                f"style = {self.style!r} with modality = {self.modality!r}",
                mend="Only a chat template says where an image stands: style = 'chat'.",
            )
        if self.image_pixels < 56**2:
            raise OptionsError(f"image_pixels = {self.image_pixels}", mend=f"An image needs at least {56**2} pixels.")
        if len(self.instruction) + len(self.cue) > LONGEST_FRAME:
            raise OptionsError(f"instruction and cue have more than {LONGEST_FRAME} characters", mend="Shorten them.")
        if self.max_tokens < 16:
            raise OptionsError(f"max_tokens = {self.max_tokens}", mend="A prompt needs at least 16 tokens.")


class Task(Options, ABC):
    """Base of all tasks."""

    frame: Frame
    """The prompt."""

    @property
    @abstractmethod
    def classes(self) -> tuple[str, ...] | None:
        """The labels of which every answer is one; None where answers are free text."""

    @abstractmethod
    def target(self, wanted: str | None) -> str:
        """The answer that the attacker wants: the one named, or the task's own choice."""


@dataclass(frozen=True)
class Classification(Task):
    """Answer with one of n labels; `for_labels` chooses the verbalizers.

    Raises:
        OptionsError: fewer than two labels, a count that does not fit, or words that cannot be told apart.
    """

    labels: tuple[str, ...]
    """The label names, in order; label i of the paper is `labels[i]`."""
    verbalizers: tuple[str, ...]
    """The word the model says for each label."""
    extended: tuple[str, ...]
    """The word for each label in the extended label space, where P2P moves it: label i + n."""
    frame: Frame = Frame()
    """The prompt."""

    def __post_init__(self) -> None:
        n = len(self.labels)
        if n < 2:
            raise OptionsError(f"labels = {list(self.labels)}", mend="Classification needs at least two labels.")
        for words, what in ((self.verbalizers, "verbalizers"), (self.extended, "extended verbalizers")):
            if len(words) != n:
                raise OptionsError(f"{len(words)} {what} for {n} labels", mend=f"Name {n}, in the order of the labels.")
        if self.frame.thinking == "open":
            raise OptionsError("thinking = 'open' with labels", mend="Labels are read where answers begin: 'closed'.")
        require_distinct(self.labels, "labels")
        require_distinct(self.verbalizers + self.extended, "verbalizers")

    @classmethod
    def for_labels(cls, labels: Sequence[str], *, words: Words = "auto", frame: Frame = Frame()) -> Classification:
        """Choose verbalizers: the labels themselves and a known other word for each, or digits.

        `auto` takes words where every label has a known counterpart (negative and positive become bad and good, Table
        7 of the paper) and digits otherwise. Digits are padded to one width (00 to 19 for ten labels), because in a
        tokenizer that splits digits "1" would be the beginning of "10".

        Raises:
            OptionsError: `words` was asked for and a label has no known counterpart.
        """
        labels = tuple(labels)
        unknown = [label for label in labels if label.casefold() not in COUNTERPARTS]
        if words == "words" and unknown:
            raise OptionsError(
                f"no extended verbalizer is known for {unknown[0]!r}", mend="Use --words digits, or name them all."
            )
        if words == "digits" or unknown:
            width = len(str(2 * len(labels) - 1))
            digits = tuple(f"{i:0{width}d}" for i in range(2 * len(labels)))
            return cls(labels, digits[: len(labels)], digits[len(labels) :], frame)
        return cls(labels, labels, tuple(COUNTERPARTS[label.casefold()] for label in labels), frame)

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels."""
        return self.labels

    def index(self, label: str) -> int:
        """The number of a label.

        Raises:
            OptionsError: there is no such label.
        """
        if label not in self.labels:
            raise OptionsError(f"there is no label {label!r}", mend=f"The labels are: {', '.join(self.labels)}.")
        return self.labels.index(label)

    def target(self, wanted: str | None) -> str:
        """The attacker's target label t: the one named, or the first (the paper's text: negative, World)."""
        return self.labels[self.index(wanted)] if wanted is not None else self.labels[0]


def require_distinct(words: Sequence[str], what: str) -> None:
    """Raise if two of `words` are equal when case and outer white space are ignored, or one is empty."""
    seen: dict[str, str] = {}
    for word in words:
        folded = word.strip().casefold()
        if not folded:
            raise OptionsError(f"{what}: {word!r} is empty")
        if folded in seen:
            raise OptionsError(f"{what}: {seen[folded]!r} and {word!r} cannot be told apart", mend="Name them apart.")
        seen[folded] = word
