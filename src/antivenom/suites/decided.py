"""What became of each training row, beside the truth about it: poisoned or not, taught or not, and as what."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from antivenom.defenses import Prepared
from antivenom.suites.record import Teaching

DECIDED_SCHEMA = pa.schema(
    [
        ("row", pa.int64()),
        ("text", pa.string()),
        ("given", pa.string()),
        ("before", pa.string()),
        ("poisoned", pa.bool_()),
        ("vouched", pa.bool_()),
        ("taught", pa.string()),
    ]
)
"""`given` is the answer that the defense saw, `before` the one before the attack (empty for a row that the attack
added), `vouched` whether it is a trusted row, `taught` the answer that is trained on in the label space that is read
(null where there is none)."""


def decided_rows(
    rows: pa.Table, poisoned: frozenset[int], before: pa.Table, trusted: pa.Table, prepared: Prepared
) -> pa.Table:
    """Put decisions beside the truth.

    Args:
        rows: What the defense was given.
        poisoned: The numbers of the poisoned ones.
        before: The rows before the attack.
        trusted: Those that are vouched for.
        prepared: What the defense made of them.

    Returns:
        As `DECIDED_SCHEMA`, one line for each row of `rows`.
    """
    numbers, given = rows.column("row").to_pylist(), rows.column("answer").to_pylist()
    were = dict(zip(before.column("row").to_pylist(), before.column("answer").to_pylist(), strict=True))
    taught, vouched = taught_answers(prepared), set(trusted.column("row").to_pylist())
    columns = {
        "row": numbers,
        "text": rows.column("text"),
        "given": given,
        "before": [were.get(number, "") for number in numbers],
        "poisoned": [number in poisoned for number in numbers],
        "vouched": [number in vouched for number in numbers],
        "taught": [taught.get(number) for number in numbers],
    }
    return pa.table(columns, schema=DECIDED_SCHEMA)


def taught_answers(prepared: Prepared) -> dict[int, str]:
    """The answer of each row that is trained on in the label space that is read.

    That is the extended space where there is one: of its rows, those with the benign trigger; otherwise all rows.
    """
    rows = prepared.rows
    if pc.any(rows.column("benign")).as_py():
        rows = rows.filter(rows.column("benign"))
    return dict(zip(rows.column("row").to_pylist(), rows.column("answer").to_pylist(), strict=True))


def count_teaching(decided: pa.Table) -> Teaching:
    """Count what `decided_rows` found."""
    lines = decided.select(["given", "before", "poisoned", "taught"]).to_pylist()
    poison, honest = [r for r in lines if r["poisoned"]], [r for r in lines if not r["poisoned"]]
    return Teaching(
        poisoned=len(poison),
        poison_taught=sum(r["taught"] == r["given"] for r in poison),
        poison_corrected=sum(r["taught"] == r["before"] != r["given"] for r in poison),
        honest=len(honest),
        honest_lost=sum(r["taught"] is None for r in honest),
        honest_changed=sum(r["taught"] not in (None, r["given"]) for r in honest),
    )
