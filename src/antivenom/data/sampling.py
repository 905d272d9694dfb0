"""The reserve S: which rows may carry the benign trigger. The most important practical choice of P2P."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from antivenom.core.arrays import BoolArray
from antivenom.core.errors import RowsError
from antivenom.core.hashing import row_keys
from antivenom.data.query import EXTRAS, asked_as_text, extras_as_text
from antivenom.data.rows import join_rows, with_columns

JOINED_AT_ONCE = 1 << 16
"""So many texts are written beside their answers at once: those of a million rows would take as much memory again."""


def quota(count: int, ratio: float) -> int:
    """How many of `count` rows of a class the reserve takes: round(ratio * count), at least one."""
    return max(1, min(count, round(ratio * count))) if count else 0


def random_reserve(table: pa.Table, labels: Sequence[str] | None, ratio: float, *, seed: int) -> BoolArray:
    """Draw the reserve from the rows themselves, the same share of every class (Algorithm 1 of the paper).

    Poisoned rows are drawn like all others, and are then taught again in the extended label space: with this policy
    P2P protects only as far as the draw happened to miss them.

    Returns:
        For each row whether it is in the reserve. The choice of a row depends on its text and the seed, so it is the
        same in any order; of rows with equal texts the earlier is taken first.
    """
    keys = row_keys(asked_as_text(table), seed=seed, purpose="reserve")
    return draw(keys, label_codes(table, labels), ratio)


def pair_keys(table: pa.Table, *, seed: int, purpose: str) -> npt.NDArray[np.uint64]:
    """A keyed hash of what each row asks and answers (`row_keys`), so that no order decides between equal texts."""
    found = np.empty(table.num_rows, dtype=np.uint64)
    for first in range(0, len(found), JOINED_AT_ONCE):
        some = table.slice(first, JOINED_AT_ONCE)
        joined = pc.binary_join_element_wise(asked_as_text(some), some.column("answer"), "\x1f")
        found[first : first + JOINED_AT_ONCE] = row_keys(joined, seed=seed, purpose=purpose)
    return found


def draw(keys: npt.NDArray[np.uint64], codes: npt.NDArray[Any], ratio: float) -> BoolArray:
    """Choose the rows with the smallest keys, `ratio` of those with the same code."""
    chosen = np.zeros(len(keys), dtype=bool)
    for code in np.unique(codes[codes >= 0]):  # rows of no known label are below zero
        members = np.flatnonzero(codes == code)
        take = quota(len(members), ratio)
        chosen[members[np.argsort(keys[members], kind="stable")[:take]]] = True
    return chosen


def hold_out(table: pa.Table, labels: Sequence[str] | None, share: float, *, seed: int) -> tuple[pa.Table, pa.Table]:
    """Cut (rest, held out), the same share of each class; the only row of a class stays with the rest."""
    codes = label_codes(table, labels)
    chosen = random_reserve(table, labels, share, seed=seed) & (np.bincount(codes)[codes] > 1)
    return table.filter(pa.array(~chosen)), table.filter(pa.array(chosen))


def label_codes(table: pa.Table, labels: Sequence[str] | None) -> npt.NDArray[np.int64]:
    """The number of each row's label; all zero where answers are free and `labels` is None.

    Raises:
        RowsError: a row has another label.
    """
    if labels is None:
        return np.zeros(table.num_rows, dtype=np.int64)
    codes = pc.index_in(table.column("answer"), value_set=pa.array(list(labels), pa.string()))
    if codes.null_count:
        first = table.filter(pc.is_null(codes)).slice(0, 1).to_pylist()[0]
        raise RowsError(
            f"row {first['row']} has the unknown label {first['answer'][:40]!r}",
            mend=f"The labels are: {', '.join(labels)}.",
        )
    numbers: npt.NDArray[np.int64] = codes.to_numpy().astype(np.int64)
    return numbers


def require_every_class(labels: Sequence[str], codes: npt.NDArray[np.integer[Any]], what: str) -> None:
    """Refuse rows among which a label is missing.

    Args:
        labels: The labels.
        codes: The number of each row's label.
        what: What the rows are: "row", "trusted row".

    Raises:
        RowsError: names the first label without a row.
    """
    missing = np.setdiff1d(np.arange(len(labels)), codes)
    if len(missing):
        raise RowsError(
            f"no {what} has the label {labels[missing[0]]!r}",
            mend="Leave it out of the labels, or add rows of it: its word in the second label space is taught by them.",
        )


def join_trusted(train: pa.Table, trusted: pa.Table | None) -> tuple[pa.Table, BoolArray]:
    """The untrusted rows, then the trusted ones, none twice; and for each row whether it is vouched for.

    Two files number their rows alike; then the trusted ones are numbered onward, so that a number is that of one row.
    """
    if trusted is None or not trusted.num_rows:
        return train, np.zeros(train.num_rows, dtype=bool)
    rest = without(train, trusted)
    if share_numbers(rest, trusted):
        trusted = numbered_after(pc.max(train.column("row")).as_py(), trusted)
    rows = join_rows([rest, trusted])
    return rows, np.arange(rows.num_rows) >= rest.num_rows


def join_new(train: pa.Table, trusted: pa.Table | None) -> pa.Table:
    """The untrusted rows, and behind them the trusted ones that are not among them, each with a number of its own."""
    if trusted is None:
        return train
    fresh = without(trusted, train)
    if share_numbers(train, fresh):
        fresh = numbered_after(pc.max(train.column("row")).as_py(), fresh)
    return join_rows([train, fresh])


def without(table: pa.Table, others: pa.Table | None) -> pa.Table:
    """The rows that are not among others."""
    return table if others is None else table.filter(pa.array(~same_rows(table, others)))


def share_numbers(table: pa.Table, others: pa.Table) -> bool:
    """Whether rows of two tables have the same number."""
    return bool(np.isin(table.column("row").to_numpy(), others.column("row").to_numpy()).any())


def numbered_after(last: int, table: pa.Table) -> pa.Table:
    """The same rows, their numbers moved behind `last`; no order of the rows decides which row has which."""
    numbers = table.column("row").to_numpy()
    return with_columns(table, row=numbers - numbers.min() + last + 1)


def same_rows(table: pa.Table, others: pa.Table) -> BoolArray:
    """For each row of `table`, whether `others` holds a row of the same text, answer, context and image."""
    found: BoolArray = np.isin(_identity(table), _identity(others))
    return found


def _identity(table: pa.Table) -> npt.NDArray[np.uint64]:
    # A row without a context and one whose table has no contexts are the same.
    extras = extras_as_text(table)
    context, image = (extras.get(name, pa.scalar("")) for name in EXTRAS.names)
    joined = pc.binary_join_element_wise(table.column("text"), table.column("answer"), context, image, "\x1f")
    return row_keys(joined, seed=0, purpose="identity")
