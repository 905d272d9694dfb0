"""What a defense is: at one or more of four stages it changes rows, training, inputs or weights."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import pyarrow as pa

from antivenom.core.arrays import BoolArray
from antivenom.core.errors import OptionsError
from antivenom.core.registry import Method
from antivenom.core.report import Report
from antivenom.data.query import EXTRAS, Asked, extras_of
from antivenom.data.rows import row_columns
from antivenom.data.sampling import join_new, label_codes
from antivenom.guards.guard import AnyTask, Guard, InputStep, unguarded
from antivenom.guards.labels import ChoiceScores
from antivenom.models.lab import Fitted, Lab, TrainingChanges

if TYPE_CHECKING:
    from antivenom.defenses.decoding import DecodingStep

PREPARED_SCHEMA = pa.schema(
    [("row", pa.int64()), ("text", pa.string()), ("answer", pa.string()), ("benign", pa.bool_())]
)
"""`answer` is a label, or the free answer, in the user's words; `benign` says whether the row carries the benign
trigger. How both are spelled is the guard's business (`Guard.said`). Behind these stand the context and the image where
the rows have them."""

Stage = Literal["prepare", "training", "inputs", "repair"]
STAGES: tuple[Stage, ...] = ("prepare", "training", "inputs", "repair")


@dataclass(frozen=True)
class Prepared:
    """The rows to train on, the guard that belongs to them, and what is changed while training."""

    rows: pa.Table
    """`row`, `text` (as the user wrote it), `answer`, `benign`; a context and an image if any."""
    guard: Guard
    """Renders the rows for training, and everything afterwards."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What the defense did, for the manifest: the policy, counts and digests."""
    training: TrainingChanges = TrainingChanges()
    """What is changed while training."""
    aside: pa.Table | None = None
    """Untrusted rows that are not trained on, and that the defense's own `repair` needs."""
    reasons: pa.Table | None = None
    """`row` and `reason`: why rows are trained on, left out or get another label, as far as the defense says it. It
    goes to `decisions.csv` and not into the manifest, which stays small."""

    def noting(self, **facts: Any) -> Prepared:
        """The same with more facts."""
        return replace(self, facts={**self.facts, **facts})

    def behind(self, step: Purifier | Monitor | DecodingStep) -> Prepared:
        """The same with a step in front of the guard; the manifest holds its options."""
        options = {name: value for name, value in step.to_dict().items() if name != "name"}
        said = InputStep(step.name, {k: list(v) if isinstance(v, tuple) else v for k, v in options.items()})
        if isinstance(step, Purifier):
            return replace(self, guard=replace(self.guard, purifiers=(*self.guard.purifiers, said)))
        return replace(self, guard=replace(self.guard, monitors=(*self.guard.monitors, said)))


@dataclass(frozen=True, kw_only=True)
class Defense(Method, ABC):
    """Base of all defenses. A defense sees rows, never the truth about them.

    Every hook has a default that does nothing, so a defense writes those of its stage alone:

    - before training: `prepare` leaves rows out, changes them, or moves them behind a benign trigger;
    - while training: `prepare` returns `Prepared.training`;
    - on each input: `prepare` puts purifiers and monitors into the guard;
    - after training: `repair` changes the weights.
    """

    stages: ClassVar[tuple[Stage, ...]] = ("prepare",)
    """Where it acts."""
    costs: ClassVar[str] = "no fit"
    """What it costs beyond one fine-tuning over the rows, in words."""
    kinds: ClassVar[tuple[str, ...]] = ("classification", "generation")
    """The kinds of task that it works on; others are refused by `require_task`."""
    filters: ClassVar[bool] = False
    """Whether it always leaves rows out; others do so only where an option says it."""

    def check(self, task: AnyTask, rows: pa.Table, report: Report) -> None:
        """Add to `report` what in the rows stands against this defense; nothing by default."""

    def prepare(self, task: AnyTask, rows: pa.Table, *, trusted: pa.Table | None, lab: Lab) -> Prepared:
        """Decide what to train on, and how; by default on all rows as they are.

        Args:
            task: The task.
            rows: The untrusted rows (`row`, `text`, `answer`).
            trusted: Rows that the user vouches for, if there are any.
            lab: Fits and asks models, keyed by the run's secret seed; the same inputs give the same result in any order
                of the rows.
        """
        return plain_rows(task, rows, trusted)

    def fits(self, task: AnyTask) -> dict[str, float]:
        """The fits that `prepare` asks the laboratory for, in order: the name that people are told, and the size.

        Sizes are shares of a fit over all rows; what is left of a run is estimated by them.
        """
        return {}

    def repair(self, model: Any, task: AnyTask, *, trusted: pa.Table | None, prepared: Prepared, lab: Lab) -> Any:
        """Change a model after training; by default nothing.

        Args:
            model: The trained module of torch, with its adapters, if any; it may be changed in place.
            task: The task.
            trusted: Rows that the user vouches for, if there are any.
            prepared: What the model was trained on, and the guard that renders rows for it.
            lab: See `prepare`.

        Returns:
            The module to save.
        """
        return model

    def require_task(self, task: AnyTask) -> None:
        """Refuse a task that this defense cannot work on.

        Raises:
            OptionsError: names the kind of task, and those that it works on.
        """
        kind = "generation" if task.classes is None else "classification"
        if kind not in self.kinds:
            raise OptionsError(
                f"{self.name} does not work on {kind}", mend=f"It works on {' and '.join(self.kinds)} alone."
            )


def reasons_table(rows: pa.Table, reasons: Sequence[str]) -> pa.Table:
    """`Prepared.reasons` of rows, one reason for each."""
    return pa.table({"row": rows.column("row"), "reason": pa.array(reasons, pa.string())})


def plain_rows(task: AnyTask, rows: pa.Table, trusted: pa.Table | None) -> Prepared:
    """All rows with their ordinary answers behind no guard; trusted rows that are not among them are added.

    Raises:
        RowsError: a row has an unknown label.
    """
    joined = join_new(rows, trusted)
    label_codes(joined, task.classes)
    return Prepared(rebuild(joined, np.zeros(joined.num_rows, dtype=bool), "replace"), unguarded(task))


def rebuild(rows: pa.Table, in_reserve: BoolArray, mode: str) -> pa.Table:
    """D -> D*: every ordinary row as it is, and every reserve row with the benign mark.

    Vectorized over Arrow columns; each output row depends on its own input row alone, so a table may be rebuilt in
    pieces of any size.

    Args:
        rows: `row`, `text`, `answer`; a context and an image go along.
        in_reserve: For each row whether it is in S.
        mode: `union` puts the benign copy right behind its original, `replace` in its place.
    """
    copies = np.repeat(np.arange(rows.num_rows), 1 + in_reserve if mode == "union" else 1)
    benign = in_reserve[copies].copy()
    if mode == "union":
        first = np.concatenate([[True], np.diff(copies) > 0])[: len(copies)]
        benign &= ~first
    taken = rows.select(row_columns(rows)).take(pa.array(copies)).add_column(3, "benign", pa.array(benign))
    return taken.cast(pa.schema([*PREPARED_SCHEMA, *(EXTRAS.field(name) for name in extras_of(rows))]))


class Purifier(Method, ABC):
    """Changes each text before it is wrapped. It stands in the guard's manifest, so its options decide what it does."""

    @abstractmethod
    def purify(self, texts: Sequence[str], model: Fitted) -> list[str]:
        """The texts as the model is to read them; as many, in the same order.

        Args:
            texts: What clients sent.
            model: The trained model behind its guard, for those that ask it.
        """


class Monitor(Method, ABC):
    """Refuses inputs that look like an attack. It stands in the guard's manifest."""

    @abstractmethod
    def accept(self, asked: Sequence[Asked], scores: ChoiceScores, model: Fitted) -> BoolArray:
        """Which inputs are answered; shape (inputs,).

        Args:
            asked: What clients sent, purified.
            scores: What the model said to it.
            model: The trained model behind its guard.
        """
