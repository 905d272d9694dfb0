"""`decisions.csv`: what became of every untrusted row, for people who want to look at those that were not kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv

from antivenom.core.console import spreadsheet_cell
from antivenom.core.files import atomic_write
from antivenom.data.sampling import same_rows
from antivenom.defenses.base import Prepared

DECISIONS = "decisions.csv"


def write_decisions(folder: Path, train: pa.Table, trusted: pa.Table | None, prepared: Prepared) -> None:
    """Write one line for each untrusted row, in their order; rows that were vouched for are not listed.

    `row` is its number in the source, `label` the label that it came with, `taught` the one that it is trained on with.
    `decision` is `taught`, `corrected` (with another label), `left out`, or `vouched for` where the same row is among
    the trusted ones; `reason` says why, as far as the defense does, and `text` is the row's. A cell that a spreadsheet
    would take for a formula has an apostrophe in front. Free answers are not written, and never corrected.

    Args:
        folder: Where the file goes.
        train: The untrusted rows.
        trusted: The rows that were vouched for, if there are any.
        prepared: What a defense made of both.
    """
    vouched = np.zeros(train.num_rows, dtype=bool) if trusted is None else same_rows(train, trusted)
    label, taught = _labels(train, prepared)
    left_out = np.array([word is None for word in taught], dtype=bool) & ~vouched
    corrected = np.array([one != other for one, other in zip(label, taught, strict=True)], dtype=bool)
    decision = np.select([vouched, left_out, corrected], ["vouched for", "left out", "corrected"], "taught")
    shown = [one if own else word for own, one, word in zip(vouched, label, taught, strict=True)]
    columns = {
        "row": train.column("row"),
        "decision": decision,
        "label": [spreadsheet_cell(one) for one in label],
        "taught": [word if word is None else spreadsheet_cell(word) for word in shown],
        "reason": [spreadsheet_cell(one) for one in _reasons(train, prepared, decision.tolist())],
        "text": [spreadsheet_cell(text) for text in train.column("text").to_pylist()],
    }
    with atomic_write(folder / DECISIONS, "wb", private=True) as file:
        csv.write_csv(pa.table(columns), file)


def _reasons(train: pa.Table, prepared: Prepared, decisions: list[str]) -> list[str]:
    """Why each row is trained on or not; of a defense that does not say it, only whose decision it was."""
    said = dict[int, str]()
    if prepared.reasons is not None:
        rows, reasons = (prepared.reasons.column(name).to_pylist() for name in ("row", "reason"))
        said = dict(zip(rows, reasons, strict=True))
    usual = {"vouched for": "vouched for", "taught": "the defense kept it", "left out": "the defense left it out"}
    numbers = train.column("row").to_pylist()
    return [
        usual["vouched for"] if decision == "vouched for" else said.get(row, usual.get(decision, decision))
        for row, decision in zip(numbers, decisions, strict=True)
    ]


def _labels(train: pa.Table, prepared: Prepared) -> tuple[list[str], list[str | None]]:
    """Each row's own label and that it is trained on with, none where it is left out; "" for free answers."""
    rows, answers = (prepared.rows.column(name).to_pylist() for name in ("row", "answer"))
    numbers = train.column("row").to_pylist()
    if prepared.guard.task.classes is None:
        kept = set(rows)
        return [""] * len(numbers), ["" if number in kept else None for number in numbers]
    taught = dict(zip(rows, answers, strict=True))
    return train.column("answer").to_pylist(), [taught.get(number) for number in numbers]
