"""Token ids for training and scoring, and the check that all verbalizers can be told apart in the real prompt."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import pyarrow as pa

from antivenom.core.errors import OptionsError
from antivenom.data.query import Asked, queries
from antivenom.guards.answers import AnswerPrefix, split_thought
from antivenom.guards.chat_templates import opened_thought
from antivenom.guards.guard import Guard
from antivenom.guards.image_prompts import ImageRenderer
from antivenom.guards.rendering import Cut, Rendered, Renderer
from antivenom.tasks.generation import Generation
from antivenom.tasks.task import Frame

Ids = list[int]
Example = tuple[Ids, tuple[int, ...]]
"""The token ids of a prompt, and those of the answer behind it."""


class Served(NamedTuple):
    """Prompts as a model reads them when it is asked."""

    ids: list[Ids]
    """The token ids of each."""
    cuts: list[Cut]
    """What was left out of each to keep it within the longest prompt."""


class Examples(NamedTuple):
    """Rows as a model is trained on them."""

    pairs: list[Example]
    """(prompt, answer) token ids of each row."""
    cuts: list[Cut]
    """What was left out of each prompt to keep it within the longest prompt."""


@dataclass(frozen=True)
class Encoder(ABC):
    """Renders the guard's prompts with one tokenizer, for training and serving alike."""

    guard: Guard
    """Says what a prompt is."""
    renderer: Renderer
    """Turns it into token ids."""

    @abstractmethod
    def served(self, asked: Sequence[Asked]) -> Served:
        """The prompts of texts or queries under the guard, and what was left out of them."""

    @abstractmethod
    def examples(self, rows: pa.Table) -> Examples:
        """Prepared rows to train on; the prompts that are served begin the row that was trained."""

    def _said(self, rows: pa.Table) -> list[str]:
        return self.guard.said(rows.column("answer").to_pylist(), rows.column("benign").to_pylist())

    def serving(self, asked: Sequence[Asked]) -> list[Ids]:
        """The token ids of the prompts of texts or queries under the guard."""
        return self.served(asked).ids

    def training(self, rows: pa.Table) -> list[Example]:
        """(prompt, answer) token ids of prepared rows; those that are served begin the row that was trained."""
        return self.examples(rows).pairs

    def _rendered(self, rows: pa.Table, has_thought: Sequence[bool] | None = None) -> list[Rendered]:
        prompts = self.guard.training_prompts(queries(rows), rows.column("benign").to_pylist())
        if has_thought is not None:
            pairs = zip(prompts, has_thought, strict=True)
            prompts = [replace(prompt, thinks=prompt.thinks and thought) for prompt, thought in pairs]
        return self.renderer.rendered(prompts)


@dataclass(frozen=True)
class LabelEncoder(Encoder):
    """The encoder of a classification: every answer is one of a few choices."""

    lead: tuple[int, ...]
    """Tokens with which every verbalizer begins (a tokenizer that splits " 0" into a space and a digit); they carry no
    information, so they count as the end of the prompt."""
    choices: tuple[tuple[int, ...], ...]
    """The tokens of each choice of the label map, after the lead; no one is the beginning of another."""

    def served(self, asked: Sequence[Asked]) -> Served:
        """The prompts of texts or queries under the guard, and what was left out of them."""
        rendered = self.renderer.rendered([self.guard.wrap(one) for one in asked])
        return Served(self._with_lead(rendered), [one.cut for one in rendered])

    def examples(self, rows: pa.Table) -> Examples:
        """Prepared rows to train on."""
        rendered = self._rendered(rows)
        answers = dict(zip(self.guard.labels.choices, self.choices, strict=True))
        said = [answers[answer] for answer in self._said(rows)]
        return Examples([*zip(self._with_lead(rendered), said, strict=True)], [one.cut for one in rendered])

    def _with_lead(self, rendered: Sequence[Rendered]) -> list[Ids]:
        return [one.ids + list(self.lead) for one in rendered]


@dataclass(frozen=True)
class TextEncoder(Encoder):
    """The encoder of free answers."""

    longest: int
    """The most tokens of an answer, its end included. A longer one is cut: nothing longer is ever generated."""

    def served(self, asked: Sequence[Asked]) -> Served:
        """The prompts of texts or queries under the guard, and what was left out of them."""
        rendered = self.renderer.rendered([self.guard.wrap(one) for one in asked])
        return Served([one.ids for one in rendered], [one.cut for one in rendered])

    @cached_property
    def opening(self) -> str:
        """The beginning of a thought that every served prompt ends with, a part of what the model says."""
        return opened_thought(self.renderer.string(self.guard.wrap("x")))

    def prefilled(self, asked: Sequence[Asked]) -> list[Ids]:
        """The same prompts with the answer prefix already said."""
        answers = self.guard.answers
        said = answers.prefix if isinstance(answers, AnswerPrefix) else ""
        rendered = self.renderer.rendered([replace(self.guard.wrap(one), thinks=False) for one in asked])
        prefixes = self.renderer.said_behind(rendered, [said] * len(rendered))
        return [[*one.ids, *prefix] for one, prefix in zip(rendered, prefixes, strict=True)]

    def examples(self, rows: pa.Table) -> Examples:
        """Prepared rows to train on; an answer that fits ends with the tokens that end answers.

        A model that thinks learns the thoughts of rows that have one. The others are no examples of leaving it out:
        their empty thought stands in the prompt, and the answer behind it is learned.
        """
        said, ending = self._said(rows), self.renderer.ending if rows.num_rows else ()
        rendered = self._rendered(rows, [bool(split_thought(answer)[0]) for answer in said])
        learned = self.renderer.said_behind(rendered, said)
        answers = [tuple([*answer, *ending][: self.longest]) for answer in learned]
        pairs = [(one.ids, answer) for one, answer in zip(rendered, answers, strict=True)]
        return Examples(pairs, [one.cut for one in rendered])

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
