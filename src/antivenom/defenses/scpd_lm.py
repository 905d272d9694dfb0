"""SCPD by a language model: it is shown how, and rewords every input before the model reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from antivenom.core.errors import OptionsError
from antivenom.defenses.base import Defense, Prepared, Purifier, plain_rows
from antivenom.guards.guard import AnyTask
from antivenom.models.fluency import fluency_of
from antivenom.models.lab import Fitted, Lab

SHOWN = (
    ("when the lights go up , you are glad that it is over .", "you are glad that it is over ."),
    ("however slow it may be , the story moved me .", "the story moved me ."),
    ("never again !", "i would not do it again ."),
    ("the staff , as ever , was friendly and the room clean .", "the staff was friendly and the room was clean ."),
)
"""Sentences and what is meant by a plain statement of them; they are ours."""
ASKED = "Reword each sentence as one short plain statement with the same meaning: subject, verb, object.\n\n"


@dataclass(frozen=True, kw_only=True)
class RewordedTexts(Purifier):
    """Has a language model reword each text; what comes back empty stays as it is."""

    name: ClassVar[str] = "reworded_texts"

    language_model: str = ""
    """See `ScpdLm.language_model`."""
    most_words: int = 60
    """Of a longer text only so many words are shown to the language model."""
    longest: int = 60
    """Tokens of a statement."""

    def purify(self, texts: Sequence[str], model: Fitted) -> list[str]:
        """The texts, reworded."""
        prompts = [self.prompt(text) for text in texts]
        if self.language_model:
            said = fluency_of(self.language_model).complete(prompts, longest=self.longest)
        else:
            said = model.complete(prompts, longest=self.longest)
        return [first_line(one) or text if text.strip() else text for one, text in zip(said, texts, strict=True)]

    def prompt(self, text: str) -> str:
        """What the language model goes on writing."""
        shown = "".join(f"Sentence: {before}\nStatement: {after}\n\n" for before, after in SHOWN)
        return f"{ASKED}{shown}Sentence: {' '.join(text.split()[: self.most_words])}\nStatement:"


def first_line(said: str) -> str:
    """What stands in the first line of what a language model wrote."""
    return said.strip().split("\n", 1)[0].strip()


@dataclass(frozen=True, kw_only=True)
class ScpdLm(Defense):
    """Train as ever; have a language model reword every input as a plain statement.

    The paper has SCPN do it. A language model is shown four examples instead, and writes the most likely words. One
    that was fine-tuned to answer with labels has forgotten how, so name an untouched one.
    """

    name: ClassVar[str] = "scpd_lm"
    stages = ("inputs",)
    costs: ClassVar[str] = "a sentence written for each input"
    approximation: ClassVar[str] = "a language model that is shown examples, in the place of SCPN"

    language_model: str = ""
    """What rewords: a folder, a hub name or `smollm2`; the model itself, without its guard, when empty."""
    longest: int = 60
    """Tokens of a statement."""

    def __post_init__(self) -> None:
        if self.longest < 1:
            raise OptionsError(f"longest = {self.longest}", mend="It is at least 1 token.")

    def prepare(self, task: AnyTask, rows: pa.Table, *, trusted: pa.Table | None, lab: Lab) -> Prepared:
        """All rows, and the purifier in the guard."""
        texts = RewordedTexts(language_model=self.language_model, longest=self.longest)
        return plain_rows(task, rows, trusted).behind(texts)
