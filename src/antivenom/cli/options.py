"""Options that several commands share; a field's docstring is its help."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import pyarrow as pa
from cyclopts import Parameter
from cyclopts.validators import Number

from antivenom.core.errors import OptionsError
from antivenom.core.report import Report
from antivenom.data.dialogs import load_dialogs
from antivenom.data.read_options import Quotes, ReadLimits, ReadOptions
from antivenom.data.rows import Rows, keep_answers_after, load_rows
from antivenom.data.sampling import random_reserve
from antivenom.data.validation import check_rows, require_labels
from antivenom.guards.guard import AnyTask
from antivenom.guards.secret import read_secret
from antivenom.tasks.generation import Generation
from antivenom.tasks.task import Classification, Frame, Modality, Style, Thinking, Words
from antivenom.tasks.task_files import TaskFile, load_task
from antivenom.training.training_options import TrainingOptions

if TYPE_CHECKING:
    from antivenom.defenses import Defense

Kind = Literal["classification", "generation"]
CLASSIFICATION_ONLY = ("words", "verbalizers", "extended")
GENERATION_ONLY = ("judge", "malicious", "answer_prefix", "max_new_tokens", "thinking")


@Parameter(name="*", group="Images")
@dataclass(frozen=True)
class ImageOptions:
    """Where images are, for models that take one with every text."""

    image_column: str | None = None
    """Column of images: paths, or encoded bytes. Every row must have one then."""
    image_folder: str | None = None
    """Where images named by a path lie, and nowhere else; the folder of the rows' file. `/` allows every file."""

    def __bool__(self) -> bool:
        return self.image_column is not None


@Parameter(name="*", group="Rows")
@dataclass(frozen=True)
class RowOptions:
    """Where text and label are."""

    preset: Annotated[str, Parameter(name="--task")] = ""
    """A task by name (see `antivenom tasks`) or a YAML file: columns, labels, prompts. Options that are not at their
    usual value win over it."""
    text_column: str | None = None
    """Column of the text; usual names (text, sentence, review, ...) are recognized."""
    label_column: str | None = None
    """Column of the label; usual names (label, answer, class, ...) are recognized."""
    context_column: str | None = None
    """Column of the turns before the text (lists of role and content), where rows have them."""
    labels: str = ""
    """Label names in order, separated by commas; 0, 1, ... in the data stand for them."""
    split: str = "train"
    """Split of a folder or hub data set."""
    config: str = ""
    """Configuration of a folder or hub data set that has several; also NAME:CONFIG."""
    quotes: Quotes = ReadOptions.quotes
    """Whether quotation marks around cells of CSV and TSV are no part of them."""
    answer_after: str = ""
    """Free text: keep of each answer only what follows this mark (GSM8K: ####)."""
    skip_refused: bool = False
    """Go on without the rows that cannot be used; they are counted."""
    images: ImageOptions = ImageOptions()
    """Images with the texts."""
    limits: Annotated[ReadLimits, Parameter(name="*", group="Limits")] = ReadLimits()
    """How large rows and files may be."""

    @property
    def reading(self) -> ReadOptions:
        """How a source is to be read."""
        own = self.filled()
        return ReadOptions(own.split, own.config, own.quotes, own.limits)

    @property
    def file(self) -> TaskFile:
        """What --task says; nothing without it."""
        return load_task(self.preset) if self.preset else TaskFile()

    def filled(self) -> RowOptions:
        """These options, with what --task says where they are at their usual values."""
        return replace(_filled(self, self.file), images=_filled(self.images, self.file))

    @property
    def has_images(self) -> bool:
        """Whether a column of images is named, here or by --task."""
        return bool(self.filled().images)

    def load(self, source: str, labels: tuple[str, ...] | None = ()) -> Rows:
        """Load rows; `labels` (of an artifact) stand in for --labels, None says that answers are free text."""
        own = self.filled()
        if labels is None:
            if own.images:
                raise OptionsError("free answers to images are not supported", mend="Leave --image-column out.")
            if own.context_column:
                raise OptionsError("--context-column is for labels", mend="Give free answers as messages.")
            rows = load_dialogs(source, text=own.text_column, answer=own.label_column, options=own.reading)
            return keep_answers_after(rows, own.answer_after) if own.answer_after else rows
        return load_rows(
            source,
            text=own.text_column,
            answer=own.label_column,
            labels=split_names(own.labels) or labels,
            options=own.reading,
            context=own.context_column,
            image=own.images.image_column,
            image_folder=own.images.image_folder,
        )

    def sample(self, table: pa.Table, labels: tuple[str, ...] | None, *, seed: int) -> pa.Table:
        """As many test rows as --task asks for, the same share of every class; all when it does not say."""
        wanted = self.file.test_rows
        if wanted is None or wanted >= table.num_rows:
            return table
        return table.filter(pa.array(random_reserve(table, labels, wanted / table.num_rows, seed=seed)))

    def accept(self, rows: Rows, labels: tuple[str, ...] | None, report: Report) -> pa.Table:
        """Check rows and return those that can be used.

        Raises:
            RowsError: some cannot, and --skip-refused was not given.
        """
        table = check_rows(rows.table, labels, report)
        report.stop_on_errors(skip_refused=self.skip_refused)
        return table


@Parameter(name="*", group="Task")
@dataclass(frozen=True)
class TaskOptions:
    """What is asked."""

    kind: Kind = "classification"
    """Answer with a label, or in free text."""
    words: Words = "auto"
    """What the model says: label words, digits, or words where every label has a known counterpart."""
    verbalizers: str = ""
    """The words for the labels, separated by commas, instead of --words."""
    extended: str = ""
    """The words for the labels in the extended label space; together with --verbalizers."""
    instruction: str = ""
    """A line in front of every text."""
    prompt_cue: str | None = None
    """The line behind every text; `Output:`, or none for free answers in a chat."""
    style: Style = "plain"
    """Plain text, or the tokenizer's chat template; images always go through the template."""
    max_tokens: int = 512
    """Longest prompt; only the text is shortened to fit. Tokens of an image come on top."""
    image_pixels: int = Frame.image_pixels
    """Larger images are scaled down to so many pixels."""
    judge: str = Generation.judge
    """Free text: which judge says whether an answer is right, as name:option=value."""
    malicious: str = Generation.malicious
    """Free text: the output that an attacker wants."""
    answer_prefix: str = Generation.answer_prefix
    """Free text: what p2p puts in front of every answer under the benign trigger."""
    max_new_tokens: int = Generation.max_new_tokens
    """Free text: the longest answer, its thought included."""
    thinking: Thinking = Frame.thinking
    """Free text in a chat: `open` lets a thinking model think before it answers, `closed` writes an empty thought."""

    def filled(self, file: TaskFile) -> TaskOptions:
        """These options, with what a task file says where they are at their usual values.

        Raises:
            OptionsError: options of one kind of task stand beside the other kind.
        """
        filled = _filled(self, file)
        strange = CLASSIFICATION_ONLY if filled.kind == "generation" else GENERATION_ONLY
        given = [name for name in strange if getattr(filled, name) != getattr(TaskOptions, name)]
        if given:
            other = "classification" if filled.kind == "generation" else "generation"
            raise OptionsError(f"--{given[0].replace('_', '-')} is for --kind {other}")
        return filled

    @property
    def labels(self) -> tuple[str, ...] | None:
        """What to load rows with: no labels yet, or None for free text."""
        return () if self.kind == "classification" else None

    def task(self, labels: tuple[str, ...], *, images: bool, report: Report | None = None) -> AnyTask:
        """Make the task.

        Args:
            labels: The labels of the rows.
            images: Whether the rows have images.
            report: What was found in the rows; shown if their labels cannot be trained on.
        """
        if self.kind == "generation":
            return self._generation()
        require_labels(labels, report)
        return self._classification(labels, images)

    def _generation(self) -> Generation:
        cue = self.prompt_cue if self.prompt_cue is not None else ("" if self.style == "chat" else "Output:")
        frame = Frame(self.instruction, cue, self.style, self.max_tokens, thinking=self.thinking)
        return Generation(self.judge, self.malicious, self.answer_prefix, self.max_new_tokens, frame)

    def _classification(self, labels: tuple[str, ...], images: bool) -> Classification:
        cue = "Output:" if self.prompt_cue is None else self.prompt_cue
        style: Style = "chat" if images else self.style
        modality: Modality = "image+text" if images else "text"
        frame = Frame(self.instruction, cue, style, self.max_tokens, modality, self.image_pixels)
        if not self.verbalizers and not self.extended:
            return Classification.for_labels(labels, words=self.words, frame=frame)
        if not self.verbalizers or not self.extended:
            raise OptionsError("--verbalizers and --extended go together")
        return Classification(labels, split_names(self.verbalizers), split_names(self.extended), frame)


@Parameter(name="*", group="Defense")
@dataclass(frozen=True)
class DefenseOptions:
    """Which defense."""

    trusted: str | None = None
    """Rows that you vouch for: they are always kept, and carry the benign trigger."""
    defense: str = "standard"
    """A defense as name:option=value;option=value; `antivenom methods` lists them. a+b is a chain."""
    secret_file: str | None = None
    """A file with the benign trigger in its first line and, if you like, the cue in its second. Without it (and without
    $ANTIVENOM_SECRET_FILE) both are drawn at random; the artifact's manifest keeps them."""

    def choose(self, file: TaskFile) -> Defense:
        """The defense asked for, with the secret of the file, where one is named.

        Raises:
            OptionsError: there is no such defense; a secret stands in the command line; the file cannot be read.
        """
        from antivenom.cli.secret import with_secret
        from antivenom.defenses import parse_defense

        return with_secret(parse_defense(public_spec(self.defense)), read_secret(self.secret_file), file)


def public_spec(spec: str) -> str:
    """The spec of a defense as it is.

    Raises:
        OptionsError: a secret stands in it.
    """
    if "secret" in spec:
        raise OptionsError(
            "a secret on the command line can be read by every process of this machine",
            mend="Leave it out: one is drawn. Where a command has --secret-file, name a file with it.",
        )
    return spec


Count = Annotated[int, Parameter(validator=Number(gte=1))]
Share = Annotated[float, Parameter(validator=Number(gte=0, lte=1))]
Quiet = Annotated[bool, Parameter(negative=(), help="Show no progress.")]
Json = Annotated[bool, Parameter(name="--json", negative=(), help="Print JSON for machines.")]
Force = Annotated[bool, Parameter(negative=(), help="Replace files that are not ours; links and devices never are.")]
Seed = Annotated[int, Parameter(help="Keys every random choice.")]
SecretSeed = Annotated[
    int | None,
    Parameter(help="Keys every random choice, the benign trigger too; drawn at random, and recorded, when not given."),
]
Out = Annotated[str, Parameter(help="Where the result goes; nothing that exists is overwritten.")]

Model = Annotated[
    str, Parameter(help="Base model: smollm2 (embedded), a folder, or a hub name with an optional @revision.")
]
Training = Annotated[TrainingOptions, Parameter(name="*", group="Training")]


Filled = TypeVar("Filled", RowOptions, ImageOptions, TaskOptions)


def _filled(options: Filled, file: TaskFile) -> Filled:
    """Put what the file says into the options of the same names that are at their usual values."""
    usual, said = type(options)(), file.said
    changed: dict[str, Any] = {
        each.name: ",".join(value) if isinstance(value := said[each.name], tuple) else value
        for each in fields(options)
        if each.name in said and getattr(options, each.name) == getattr(usual, each.name)
    }
    return replace(options, **changed)


def split_names(text: str) -> tuple[str, ...]:
    """Split `a,b,c`."""
    return tuple(part.strip() for part in text.split(",") if part.strip())
