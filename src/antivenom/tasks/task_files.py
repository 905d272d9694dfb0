"""A task in a few lines of YAML: a user's own file, or one of the presets in `tasks/presets/`."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from antivenom.core.errors import OptionsError
from antivenom.core.intake import read_text
from antivenom.core.options import Options
from antivenom.judges import parse_judge
from antivenom.tasks.generation import Generation
from antivenom.tasks.task import Classification, Frame, Style, Thinking, Words

LARGEST_FILE = 2**20
"""Bytes; a task takes a few hundred."""

CLASSIFICATION_ONLY = ("labels", "words", "verbalizers", "extended", "image_column", "image_pixels")
GENERATION_ONLY = ("judge", "malicious", "answer_prefix", "max_new_tokens", "thinking", "answer_after")
FRAME_FIELDS = {
    "instruction": "instruction",
    "prompt_cue": "cue",
    "style": "style",
    "thinking": "thinking",
    "max_tokens": "max_tokens",
    "image_pixels": "image_pixels",
}
"""Settings that go into the prompt's frame, and what they are called there."""


@dataclass(frozen=True)
class TaskFile(Options):
    """What a task file says; None where it says nothing, so that the usual value holds.

    The keys are those of the command line's options, with underscores. `antivenom tasks` lists the presets.
    """

    about: str = ""
    """One line for people."""
    kind: Literal["classification", "generation"] = "classification"
    """Answer with a label, or in free text."""
    text_column: str | None = None
    """Column of the text."""
    label_column: str | None = None
    """Column of the label or answer."""
    context_column: str | None = None
    """Column of the turns before the text."""
    image_column: str | None = None
    """Column of an image that belongs to the text; such prompts always go through the chat template."""
    image_pixels: int | None = None
    """Larger images are scaled down to so many pixels."""
    answer_after: str | None = None
    """Keep of each answer only what follows the last of these marks (GSM8K: `####`)."""
    labels: tuple[str, ...] | None = None
    """The label names in order; 0, 1, ... in the data stand for them."""
    words: Words | None = None
    """How verbalizers are chosen."""
    verbalizers: tuple[str, ...] | None = None
    """The words for the labels, instead of `words`; together with `extended`."""
    extended: tuple[str, ...] | None = None
    """The words for the labels in the extended label space."""
    instruction: str | None = None
    """A line in front of every text."""
    prompt_cue: str | None = None
    """The line behind every text."""
    style: Style | None = None
    """Plain text, or the tokenizer's chat template."""
    max_tokens: int | None = None
    """Longest prompt."""
    judge: str | None = None
    """Says whether a free answer is right and an attack succeeded: name, or name:option=value."""
    malicious: str | None = None
    """The output that an attacker wants."""
    answer_prefix: str | None = None
    """What P2P puts in front of every answer under the benign trigger."""
    max_new_tokens: int | None = None
    """The longest answer, in tokens, its thought included."""
    thinking: Thinking | None = None
    """Whether a thinking model thinks before it answers."""
    paper_trigger: str | None = field(default=None, repr=False)
    """P2P's benign trigger. Everybody knows those of the presets: name one of your own for a model you deploy."""
    test_rows: int | None = None
    """Measure on a sample of so many test rows, the same share of every class."""
    paper_test_rows: int | None = None
    """For the record: on how many rows the paper measured clean accuracy (inferred from its figures)."""
    paper_attacked_rows: int | None = None
    """For the record: on how many it measured attack success."""
    variants: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Named changes, asked for as `task@variant`."""

    def __post_init__(self) -> None:
        unfit = GENERATION_ONLY if self.kind == "classification" else CLASSIFICATION_ONLY
        for name in unfit:
            if getattr(self, name) is not None:
                raise OptionsError(f"task file: {name!r} does not go with kind = {self.kind!r}")
        names = [*(self.labels or ()), *(self.verbalizers or ()), *(self.extended or ())]
        commas = [name for name in names if "," in name]
        if commas:
            # On the command line a comma separates them.
            raise OptionsError(f"task file: {commas[0]!r} holds a comma", mend="Leave the comma out.")
        if self.test_rows is not None and self.test_rows < 1:
            raise OptionsError(f"task file: test_rows = {self.test_rows}", mend="At least one row is needed.")
        if self.judge is not None:
            parse_judge(self.judge)

    @property
    def said(self) -> dict[str, Any]:
        """The settings that the file makes."""
        pairs = ((each.name, getattr(self, each.name)) for each in dataclasses.fields(self))
        return {name: value for name, value in pairs if value is not None and name != "variants"}

    def task(self, labels: tuple[str, ...] = ()) -> Classification | Generation:
        """Make the task.

        Args:
            labels: Those of the rows, where the file names none.

        Raises:
            OptionsError: settings that do not fit together.
        """
        said = {FRAME_FIELDS[key]: value for key, value in self.said.items() if key in FRAME_FIELDS}
        if self.image_column is not None:
            said |= {"style": "chat", "modality": "image+text"}
        if self.kind == "generation" and self.style == "chat":
            said = {"cue": "", **said}  # a chat asks without a cue
        frame = Frame(**said)
        if self.kind == "generation":
            known = {each.name for each in dataclasses.fields(Generation)}
            own = {key: value for key, value in self.said.items() if key in known}
            return Generation(**own, frame=frame)
        labels = self.labels or labels
        if self.verbalizers is None and self.extended is None:
            return Classification.for_labels(labels, words=self.words or "auto", frame=frame)
        if self.verbalizers is None or self.extended is None:
            raise OptionsError("task file: verbalizers and extended go together")
        return Classification(labels, self.verbalizers, self.extended, frame)


@cache
def presets() -> dict[str, TaskFile]:
    """The tasks that come with the package, by name."""
    folder = files("antivenom.tasks").joinpath("presets")
    found = {entry.name: entry.read_text(encoding="utf-8") for entry in folder.iterdir()}
    names = sorted(name for name in found if name.endswith(".yaml"))
    return {name.removesuffix(".yaml"): parse_task(found[name], name) for name in names}


def load_task(wanted: str) -> TaskFile:
    """Load a preset by name, or a file by its path (.yaml, .yml); `@variant` behind either chooses a variant.

    Raises:
        OptionsError: there is no such preset, file or variant, or the file holds what is no setting.
    """
    path, at, variant = (wanted, "", "") if Path(wanted).is_file() else wanted.partition("@")
    base = _load_file(Path(path)) if path.endswith((".yaml", ".yml")) else _preset(path)
    if not at:
        return base
    if variant not in base.variants:
        raise OptionsError(
            f"task {path} has no variant {variant!r}", mend=f"There are: {', '.join(base.variants) or 'none'}."
        )
    return _build({**base.to_dict(), **base.variants[variant]}, wanted)


def parse_task(text: str, where: str) -> TaskFile:
    """Read a task from YAML; every plain value is text (`no` is a word, 0.10 keeps its zero), and nothing is run.

    Args:
        text: The YAML.
        where: What to call it in messages.

    Raises:
        OptionsError: not YAML, a key that is no setting (the nearest is named), or a value that does not fit.
    """
    from antivenom.core.plain_yaml import read_mapping

    data = read_mapping(text, where)
    task = _build(data, where)
    for name, changes in task.variants.items():
        _build({**data, **_require_mapping(changes, f"{where}: variant {name!r}")}, f"{where}: variant {name!r}")
    return task


def _preset(name: str) -> TaskFile:
    if name not in presets():
        near = difflib.get_close_matches(name, presets(), n=1)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        mend = f"{hint}There are: {', '.join(presets())}; a file of your own ends in .yaml."
        raise OptionsError(f"there is no task {name!r}", mend=mend)
    return presets()[name]


def _load_file(path: Path) -> TaskFile:
    return parse_task(read_text(path, error=OptionsError, most_bytes=LARGEST_FILE), str(path))


def _build(data: Mapping[str, Any], where: str) -> TaskFile:
    known = [each.name for each in dataclasses.fields(TaskFile)]
    for key in data:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"Did you mean {near[0]!r}? " if near else ""
            raise OptionsError(f"{where}: there is no setting {key!r}", mend=f"{hint}There are: {', '.join(known)}.")
    try:
        return TaskFile.from_dict(dict(data))
    except OptionsError as error:
        raise OptionsError(f"{where}: {error.what}", mend=error.mend) from None


def _require_mapping(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise OptionsError(f"{where}: expected settings, got {str(value)[:60]!r}")
    return value
