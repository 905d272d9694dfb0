"""The guard: what is kept after training. It wraps every input and reads every output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from antivenom.errors import OptionsError
from antivenom.labels import ChoiceScores, LabelMap, Reading, Readings, read_scores
from antivenom.options import Options
from antivenom.prompts import Prompt
from antivenom.task import Classification

Placement = Literal["prefix", "system"]


@dataclass(frozen=True)
class Guard(Options):
    """Wraps a text into the prompt that carries the benign trigger, and reads scores through the label map.

    Evaluation, prediction and serving use these two methods and nothing else, so that a number in a table describes
    what is deployed.
    """

    task: Classification
    """What is asked."""
    labels: LabelMap
    """The label map h and its projection."""
    benign_trigger: str = field(default="", repr=False)
    """The defender's trigger; a secret, so it is in no log. Empty when there is no defense."""
    placement: Placement = "prefix"
    """Where it stands: in front of the text, or in the system prompt."""
    cue: str = field(default="", repr=False)
    """The cue under the benign trigger; the task's own when empty. One that differs is a second half of the key."""

    def __post_init__(self) -> None:
        if self.task.labels != self.labels.labels:
            raise OptionsError("the label map is made for other labels than the task")

    def wrap(self, text: str) -> Prompt:
        """The prompt that is served: with the benign trigger, if there is one."""
        frame = self.task.frame
        before, after = _line(frame.instruction), f"\n{self.cue or frame.cue}"
        if self.placement == "system":
            return Prompt(before, text, after, system=self.benign_trigger)
        return Prompt(f"{before}{self.benign_trigger} " if self.benign_trigger else before, text, after)

    def ordinary(self, text: str) -> Prompt:
        """The prompt of rows that do not carry the benign trigger; only training uses it."""
        frame = self.task.frame
        return Prompt(_line(frame.instruction), text, f"\n{frame.cue}")

    def prompt(self, text: str, *, benign: bool) -> Prompt:
        """The prompt of a training row."""
        return self.wrap(text) if benign else self.ordinary(text)

    def read(self, scores: ChoiceScores) -> list[Reading]:
        """Read scores as answers in the client's labels."""
        columns = self.columns(scores)
        names = self.labels.labels
        zipped = zip(columns.deployed, columns.probability, columns.escape, columns.inside, strict=True)
        return [Reading(names[d], float(p), float(e), bool(i)) for d, p, e, i in zipped]

    def columns(self, scores: ChoiceScores) -> Readings:
        """Read scores as columns, for evaluation."""
        return read_scores(scores, self.labels)

    def training_prompts(self, texts: Sequence[str], benign: Sequence[bool]) -> list[Prompt]:
        """The prompts of training rows."""
        return [self.prompt(text, benign=b) for text, b in zip(texts, benign, strict=True)]


def unguarded(task: Classification) -> Guard:
    """The guard of an undefended model: no trigger, every label its own verbalizer."""
    return Guard(task=task, labels=LabelMap.identity(task))


def _line(instruction: str) -> str:
    return f"{instruction}\n" if instruction else ""
