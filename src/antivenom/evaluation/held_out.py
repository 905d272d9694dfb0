"""Test rows that nothing was trained on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from antivenom.core.arrays import BoolArray
from antivenom.core.errors import RowsError
from antivenom.data.label_names import seen_form
from antivenom.data.query import asked_as_text
from antivenom.data.sampling import hold_out, same_rows


def hold_out_untrusted(
    rows: pa.Table, labels: Sequence[str] | None, trusted: pa.Table | None, share: float, *, seed: int
) -> tuple[pa.Table, pa.Table]:
    """Cut (training rows, test rows), the same share of each class; trusted rows are never held out.

    A defense trains on the trusted rows, whether they stand among the others or not, so none of them can be a test row.

    Args:
        rows: All rows.
        labels: The labels; None where answers are free.
        trusted: Rows that the user vouches for; they may stand among `rows`.
        share: How much of the other rows to hold out.
        seed: Keys the draw.

    Raises:
        RowsError: every row is trusted.
    """
    if trusted is None:
        return hold_out(rows, labels, share, seed=seed)
    vouched = same_rows(rows, trusted)
    if vouched.all():
        raise RowsError("every row is trusted, so none can be held out", mend="Give test rows of their own: --test.")
    train, test = hold_out(rows.filter(pa.array(~vouched)), labels, share, seed=seed)
    return pa.concat_tables([train, rows.filter(pa.array(vouched))]).sort_by("row"), test


def without_trained(test: pa.Table, *trained: pa.Table | None) -> tuple[pa.Table, int]:
    """(the test rows that ask what no trained row asks, how many others there were).

    Args:
        test: Test rows.
        trained: Tables of rows that are trained on; None for one that is not there.

    Raises:
        RowsError: none is left.
    """
    fresh = ~are_trained(test, *trained)
    if test.num_rows and not fresh.any():
        raise RowsError("every test row is trained on as well", mend="Give test rows of their own: --test.")
    return test.filter(pa.array(fresh)), int((~fresh).sum())


def are_trained(test: pa.Table, *trained: pa.Table | None) -> BoolArray:
    """For each test row whether a trained row asks the same, as far as a reader sees (`seen_form`)."""
    known = {text for table in trained if table is not None for text in _seen(table)}
    return np.array([text in known for text in _seen(test)], dtype=bool)


def _seen(table: pa.Table) -> Iterator[str]:
    return map(seen_form, asked_as_text(table).to_pylist())
