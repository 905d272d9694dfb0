"""The guard: what is kept after training. It wraps every input and reads every output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from antivenom.core.errors import OptionsError
from antivenom.core.options import Options
from antivenom.data.query import Asked, as_query
from antivenom.guards.answers import AnswerPrefix, TextReading, ordinary_answers
from antivenom.guards.labels import ChoiceScores, LabelMap, Reading, Readings, read_scores
from antivenom.guards.prompts import Prompt
from antivenom.guards.secret import NO_SECRET, Secret
from antivenom.tasks.generation import Generation
from antivenom.tasks.task import Classification

Placement = Literal["prefix", "system"]
AnyTask = Classification | Generation


@dataclass(frozen=True)
class InputStep(Options):
    """A purifier or a monitor, as the manifest has it: which method, with which settings."""

    name: str
    """The method's name among the purifiers or monitors."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Its options; thresholds that were learned before training stand here too."""


@dataclass(frozen=True)
class Guard(Options):
    """Wraps a text into the prompt that carries the benign trigger, and reads scores through the label map.

    Evaluation, prediction and serving use these two methods and nothing else, so that a number in a table describes
    what is deployed.
    """

    task: AnyTask
    """What is asked."""
    answers: LabelMap | AnswerPrefix
    """The map h of answers under the benign trigger, and its projection."""
    secret: Secret = NO_SECRET
    """The benign trigger, and the cue under it."""
    placement: Placement = "prefix"
    """Where the benign trigger stands: in front of the text, or in the system prompt."""
    purifiers: tuple[InputStep, ...] = ()
    """What is done to each text before it is wrapped, in this order."""
    monitors: tuple[InputStep, ...] = ()
    """What may refuse an input; asked in this order."""

    def __post_init__(self) -> None:
        labels = self.answers.labels if isinstance(self.answers, LabelMap) else None
        if self.task.classes != labels:
            raise OptionsError("the label map is made for other labels than the task")

    @property
    def labels(self) -> LabelMap:
        """The label map of a classification.

        Raises:
            OptionsError: answers are free text.
        """
        if not isinstance(self.answers, LabelMap):
            raise OptionsError("there are no labels: the answers of this task are free text")
        return self.answers

    def wrap(self, asked: Asked) -> Prompt:
        """The prompt that is served: with the benign trigger, if there is one, in the last turn or the system turn."""
        trigger, before = self.secret.trigger, _line(self.task.frame.instruction)
        after = _cue(self.secret.cue or self.task.frame.cue)
        in_front = bool(trigger) and self.placement == "prefix"
        parts = (f"{before}{trigger} " if in_front else before, after, "" if in_front else trigger)
        return self._prompt(asked, *parts)

    def ordinary(self, asked: Asked) -> Prompt:
        """The prompt of rows that do not carry the benign trigger; only training uses it."""
        return self._prompt(asked, _line(self.task.frame.instruction), _cue(self.task.frame.cue))

    def prompt(self, asked: Asked, *, benign: bool) -> Prompt:
        """The prompt of a training row."""
        return self.wrap(asked) if benign else self.ordinary(asked)

    def said(self, answers: Sequence[str], benign: Sequence[bool]) -> list[str]:
        """Spell what training rows are to say: a label's verbalizer, or h of it under the benign trigger.

        Args:
            answers: Labels, or free answers as the rows have them.
            benign: Whether each row carries the benign trigger.
        """
        spell, words = self.answers, {}
        pairs = list(zip(answers, benign, strict=True))
        for answer, mark in set(pairs):
            words[answer, mark] = spell.encode(answer) if mark else spell.plain(answer)
        return [words[pair] for pair in pairs]

    def read(self, scores: ChoiceScores) -> list[Reading]:
        """Read scores as answers in the client's labels."""
        columns = self.columns(scores)
        names = self.labels.labels
        zipped = zip(columns.deployed, columns.probability, columns.escape, columns.inside, strict=True)
        return [
            Reading(names[d] if d >= 0 else "", float(p), float(e), bool(i), refused=bool(d < 0))
            for d, p, e, i in zipped
        ]

    def read_text(self, output: str, *, finished: bool = True) -> TextReading:
        """Read generated text: the answer behind the answer prefix, and whether the prefix was there."""
        assert isinstance(self.answers, AnswerPrefix)
        answer, extended = self.answers.decode(output)
        return TextReading(answer, output, extended, finished)

    def columns(self, scores: ChoiceScores) -> Readings:
        """Read scores as columns, for evaluation."""
        return read_scores(scores, self.labels)

    def training_prompts(self, asked: Sequence[Asked], benign: Sequence[bool]) -> list[Prompt]:
        """The prompts of training rows."""
        return [self.prompt(one, benign=b) for one, b in zip(asked, benign, strict=True)]

    def _prompt(self, asked: Asked, before: str, after: str, system: str = "") -> Prompt:
        query, thinks = as_query(asked), self.task.frame.thinking == "open"
        return Prompt(before, query.text, after, system, query.context, query.image, thinks)


def require_text(task: AnyTask) -> None:
    """Refuse rows with images where only their texts would be read.

    Raises:
        OptionsError: the task has images.
    """
    if task.frame.modality != "text":
        raise OptionsError("this defense reads texts alone, and these rows have images", mend="Choose another defense.")


def unguarded(task: AnyTask) -> Guard:
    """The guard of an undefended model: no trigger, every answer as it is."""
    return Guard(task, ordinary_answers(task))


def _cue(cue: str) -> str:
    return f"\n{cue}" if cue else ""


def _line(instruction: str) -> str:
    return f"{instruction}\n" if instruction else ""
