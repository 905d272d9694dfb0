"""What filters share: the rows as they stand, a stable order of suspicion, and the rows without the suspects."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from antivenom.core.arrays import BoolArray, Floats, Ints
from antivenom.core.errors import OptionsError
from antivenom.core.hashing import row_keys
from antivenom.data.query import asked_as_text
from antivenom.data.sampling import without
from antivenom.defenses.base import Prepared, plain_rows
from antivenom.guards.guard import AnyTask
from antivenom.models.lab import Fitted, Lab, TrainingChanges

DIGITS = 6
"""Scores that agree to so many digits are equal: sums of numbers depend on the order of the rows a little."""


def without_suspects(
    task: AnyTask, rows: pa.Table, suspect: BoolArray, trusted: pa.Table | None, facts: dict[str, Any]
) -> Prepared:
    """All rows but the suspects; trusted rows stay, and training takes as long as over all rows.

    Args:
        task: The task.
        rows: The untrusted rows.
        suspect: Which of them to leave out; shape (rows,).
        trusted: Rows that the user vouches for, if there are any.
        facts: What else is known; counts of what was left out are added.
    """
    kept = rows.filter(pa.array(~suspect))
    prepared = plain_rows(task, kept, trusted)
    found = {"left_out": rows.num_rows - kept.num_rows, "rows": kept.num_rows, **facts}
    if task.classes is not None:
        found["left_out_of"] = _by_label(rows, suspect, task.classes)
    return Prepared(prepared.rows, prepared.guard, found, TrainingChanges(instead_of=rows.num_rows))


def _by_label(rows: pa.Table, suspect: BoolArray, labels: tuple[str, ...]) -> dict[str, list[int]]:
    """For each label how many of its rows were left out, and how many it had."""
    answers = rows.column("answer")
    own = {label: pc.equal(answers, label).to_numpy().astype(bool) for label in labels}
    return {label: [int((mine & suspect).sum()), int(mine.sum())] for label, mine in own.items()}


def suspicion_order(scores: Floats, rows: pa.Table, *, seed: int) -> Ints:
    """The places of the rows, the lowest score first; among equals a keyed hash of the text decides.

    The order of the rows does not matter.

    Args:
        scores: One per row.
        rows: The rows.
        seed: The run's secret seed.
    """
    keys = row_keys(asked_as_text(rows), seed=seed, purpose="suspicion")
    numbers = rows.column("row").to_numpy()
    return np.lexsort((numbers, keys, np.round(scores, DIGITS))).astype(np.int64)


def lowest(scores: Floats, rows: pa.Table, share: float, *, seed: int) -> BoolArray:
    """The rows with the lowest scores, `share` of all, rounded down."""
    found = np.zeros(rows.num_rows, dtype=bool)
    found[suspicion_order(scores, rows, seed=seed)[: int(share * rows.num_rows)]] = True
    return found


def fitted_on_all(
    task: AnyTask, rows: pa.Table, trusted: pa.Table | None, lab: Lab, training: TrainingChanges = TrainingChanges()
) -> tuple[Fitted, pa.Table]:
    """A model fine-tuned on all rows, poison included, and the untrusted rows as it was taught them."""
    plain = plain_rows(task, rows, trusted)
    fitted = lab.fit(plain.rows, plain.guard, name="a model that learns all rows", training=training)
    return fitted, plain.rows.slice(0, rows.num_rows)


def fitted_on_others(task: AnyTask, rows: pa.Table, trusted: pa.Table, lab: Lab, name: str) -> Fitted:
    """A model that has not learned the trusted rows, which may stand among the others; where there are none, it has.

    Args:
        task: The task.
        rows: The untrusted rows.
        trusted: Rows on which the model is to be judged.
        lab: Fits it.
        name: What the fit is for, for people.
    """
    others = without(rows, trusted)
    plain = plain_rows(task, others if others.num_rows else trusted, None)
    return lab.fit(plain.rows, plain.guard, name=name)


def untouched(task: AnyTask, rows: pa.Table, trusted: pa.Table | None, lab: Lab) -> tuple[Fitted, pa.Table]:
    """The untouched base model, and the untrusted rows as a model would be taught them."""
    plain = plain_rows(task, rows, trusted)
    return lab.base(plain.guard), plain.rows.slice(0, rows.num_rows)


def folds(rows: pa.Table, count: int, *, seed: int) -> Ints:
    """The fold of each row, by a keyed hash of what it asks: equal texts are in one fold."""
    keys: npt.NDArray[np.uint64] = row_keys(asked_as_text(rows), seed=seed, purpose="folds")
    return (keys % np.uint64(count)).astype(np.int64)


def require_share(name: str, value: float) -> None:
    """Refuse what is no share of the rows.

    Raises:
        OptionsError: `value` is not above 0 and below 1.
    """
    if not 0 < value < 1:
        raise OptionsError(f"{name} = {value}", mend="It is a share: above 0 and below 1.")
