"""Token ids for training and scoring, and the check that all verbalizers can be told apart in the real prompt."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from antivenom.core.errors import OptionsError
from antivenom.data.query import Asked, queries
from antivenom.guards.answers import AnswerPrefix
from antivenom.guards.guard import Guard
from antivenom.guards.image_prompts import ImageRenderer
from antivenom.guards.prompts import Prompt, Renderer
from antivenom.tasks.generation import Generation
from antivenom.tasks.task import Frame

Ids = list[int]


@dataclass(frozen=True)
class Encoder(ABC):
    """Renders the guard's prompts with one tokenizer, for training and serving alike."""

    guard: Guard
    """Says what a prompt is."""
    renderer: Renderer
    """Turns it into token ids."""

    @abstractmethod
    def serving(self, asked: Sequence[Asked]) -> list[Ids]:
        """The prompts of texts or queries under the guard."""

    @abstractmethod
    def training(self, rows: pa.Table) -> list[tuple[Ids, tuple[int, ...]]]:
        """(prompt, answer) token ids of prepared rows; those that are served begin the row that was trained."""

    def _said(self, rows: pa.Table) -> list[str]:
        return self.guard.said(rows.column("answer").to_pylist(), rows.column("benign").to_pylist())

    def _prompts(self, rows: pa.Table) -> list[Prompt]:
        return self.guard.training_prompts(queries(rows), rows.column("benign").to_pylist())


@dataclass(frozen=True)
class LabelEncoder(Encoder):
    """The encoder of a classification: every answer is one of a few choices."""

    lead: tuple[int, ...]
    """Tokens with which every verbalizer begins (a tokenizer that splits " 0" into a space and a digit); they carry no
    information, so they count as the end of the prompt."""
    choices: tuple[tuple[int, ...], ...]
    """The tokens of each choice of the label map, after the lead; no one is the beginning of another."""

    def serving(self, asked: Sequence[Asked]) -> list[Ids]:
        """The prompts of texts or queries under the guard."""
        return self._render([self.guard.wrap(one) for one in asked])

    def training(self, rows: pa.Table) -> list[tuple[Ids, tuple[int, ...]]]:
        """(prompt, answer) token ids of prepared rows."""
        prompts = self._render(self._prompts(rows))
        answers = dict(zip(self.guard.labels.choices, self.choices, strict=True))
        return [(p, answers[a]) for p, a in zip(prompts, self._said(rows), strict=True)]

    def _render(self, prompts: Sequence[Prompt]) -> list[Ids]:
        return [ids + list(self.lead) for ids in self.renderer.render(prompts)]


@dataclass(frozen=True)
class TextEncoder(Encoder):
    """The encoder of free answers."""

    longest: int
    """The most tokens of an answer, its end included. A longer one is cut: nothing longer is ever generated."""

    def serving(self, asked: Sequence[Asked]) -> list[Ids]:
        """The prompts of texts or queries under the guard."""
        return self.renderer.render([self.guard.wrap(one) for one in asked])

    def prefilled(self, asked: Sequence[Asked]) -> list[Ids]:
        """The same prompts with the answer prefix already said."""
        answers = self.guard.answers
        said = answers.prefix if isinstance(answers, AnswerPrefix) else ""
        prompts = [self.guard.wrap(one) for one in asked]
        return [[*prompt, *prefix] for prompt, prefix in self.renderer.render_with(prompts, [said] * len(prompts))]

    def training(self, rows: pa.Table) -> list[tuple[Ids, tuple[int, ...]]]:
        """(prompt, answer) token ids of prepared rows; an answer that fits ends with the tokens that end answers."""
        pairs = self.renderer.render_with(self._prompts(rows), self._said(rows))
        return [(prompt, tuple([*answer, *self.renderer.ending][: self.longest])) for prompt, answer in pairs]

    def is_whole(self, answer: tuple[int, ...]) -> bool:
        """Whether the tokens of an answer reach its end."""
        ending = self.renderer.ending
        return answer[-len(ending) :] == ending


def make_encoder(guard: Guard, tokenizer: Any) -> LabelEncoder | TextEncoder:
    """Bind a guard to a tokenizer, or to a processor where the task has images.

    Raises:
        OptionsError: two verbalizers have the same tokens, or one is the beginning of the other; both are named with
            the labels they stand for; or free answers could never end, or are asked for about images.
    """
    renderer = _renderer(guard.task.frame, tokenizer)
    if isinstance(guard.task, Generation):
        if isinstance(renderer, ImageRenderer):
            raise OptionsError("free answers to images are not supported", mend="Use labels, or leave the images out.")
        _ = renderer.ending
        return TextEncoder(guard, renderer, guard.task.max_new_tokens)
    words = guard.labels.choices
    tokens = [tuple(renderer.answer_ids(guard.wrap("x"), word)) for word in words]
    for word, ids in zip(words, tokens, strict=True):
        if tuple(renderer.answer_ids(guard.ordinary("x"), word)) != ids:
            raise OptionsError(f"verbalizer {word!r} has other tokens behind the cue of the benign trigger")
    lead = _common_start(tokens)
    choices = tuple(ids[len(lead) :] for ids in tokens)
    _require_distinguishable(guard, choices)
    return LabelEncoder(guard, renderer, lead, choices)


def _renderer(frame: Frame, tokenizer: Any) -> Renderer:
    if frame.modality == "text":
        return Renderer(tokenizer, style=frame.style, max_tokens=frame.max_tokens)
    return ImageRenderer(tokenizer, max_tokens=frame.max_tokens, image_pixels=frame.image_pixels)


def _require_distinguishable(guard: Guard, choices: tuple[tuple[int, ...], ...]) -> None:
    """No choice may be the beginning of another one."""
    order = sorted(range(len(choices)), key=lambda i: choices[i])
    # In sorted order the extensions of a sequence follow it directly, so comparing neighbors finds every clash.
    for a, b in itertools.pairwise(order):
        if choices[b][: len(choices[a])] == choices[a]:
            words, meaning, names = guard.labels.choices, guard.labels.meaning, guard.labels.labels
            raise OptionsError(
                f"the verbalizers {words[a]!r} (label {names[meaning[a]]!r}) and {words[b]!r} (label "
                f"{names[meaning[b]]!r}) cannot be told apart: the tokens of the first begin the second",
                mend="Choose other words, or --words digits.",
            )


def _common_start(sequences: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """The longest common beginning of all sequences."""
    columns = zip(*sequences, strict=False)
    return tuple(column[0] for column in itertools.takewhile(lambda column: len(set(column)) == 1, columns))
