"""Checks of labeled rows before any training: what would waste an hour is said in the first second."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from antivenom.core.errors import RowsError
from antivenom.core.report import Report
from antivenom.data.label_names import seen_form
from antivenom.data.query import extras_as_text, extras_of, whole_texts

SHOWN_LABELS = 20
"""Unknown labels that are reported one by one; a column that is no label at all must not fill the screen."""

FEWEST_ROWS = 5
"""A class with fewer rows is more likely a misspelled label than a class."""
MOST_LABELS = 2000
LEAST_CLASS_ROWS = 20
"""Rows of a class below which a fine-tuned model rarely learns it, and a defense has none to leave out.

An honest set of 154 tickets, of which `standard` left 56 in classes of 2 to 4 rows, gave 60 % accuracy."""
LEAST_ROWS = 200
"""The same for all rows together."""


def check_rows(table: pa.Table, labels: Sequence[str] | None, report: Report) -> pa.Table:
    """Run every check that needs no defense; `labels` is None where answers are free text.

    Returns:
        The rows with a known label. The caller decides with `report.stop_on_errors`.
    """
    if labels is not None:
        table = check_labels(table, labels, report)
    elif not table.num_rows:
        report.fail("there are no rows")
    check_duplicates(table, report)
    check_damage(table, report)
    return table


def label_problems(labels: Sequence[str]) -> list[str]:
    """Everything about a set of labels that forbids training on them, with how to mend it; empty if nothing does."""
    problems = []
    if len(labels) > MOST_LABELS:
        what = f"the label column has {len(labels)} distinct values (for example {labels[0][:40]!r})"
        problems.append(f"{what}; it looks like free text: choose the column with --label-column")
        return problems
    if len(labels) < 2:
        problems.append(_too_few(labels))
    same: dict[str, list[str]] = {}
    for label in labels:
        same.setdefault(unicodedata.normalize("NFKC", seen_form(label)).casefold(), []).append(label)
    for spellings in same.values():
        if len(spellings) > 1:
            shown = ", ".join(map(ascii, spellings[:SHOWN_LABELS]))
            problems.append(
                f"labels that differ in case, width or invisible characters alone: {shown}; spell them alike"
            )
    return problems


def _too_few(labels: Sequence[str]) -> str:
    what = f"only {len(labels)} class in the rows ({', '.join(labels) or 'no rows'}), and at least 2 are needed"
    return f"{what}; name them with --labels if the rows happen to show one only"


def require_labels(labels: Sequence[str], report: Report | None = None) -> None:
    """Raise if labels cannot be trained on; what was refused in their rows is said as well, for it may be the reason.

    Raises:
        RowsError: names every problem.
    """
    problems = label_problems(labels)
    if problems:
        found = str(report).splitlines() if report is not None and report.findings else []
        raise RowsError("; ".join(problems), details=found)


def small_classes(counts: Mapping[str, int], *, least: int = LEAST_CLASS_ROWS) -> list[str]:
    """Warnings about classes of which too few rows are there, or left, for a model to learn them.

    Args:
        counts: The rows of each class: those that were loaded, or those that a defense leaves.
        least: The least number that is enough.

    Returns:
        One line for each small class, smallest first, and one about all rows if they are too few together.
    """
    small = sorted((count, label) for label, count in counts.items() if count < least)
    warnings = [f"class {label!r} has {count} rows, fewer than the {least} that are enough" for count, label in small]
    total = sum(counts.values())
    if 0 < total < LEAST_ROWS:
        warnings.append(f"{total} rows together, fewer than the {LEAST_ROWS} that are enough")
    return warnings


def check_labels(table: pa.Table, labels: Sequence[str], report: Report) -> pa.Table:
    """Refuse rows whose answer is not one of `labels`; note a data set of one class, or classes without rows.

    Returns:
        The rows with a known label.
    """
    known = pc.is_in(table.column("answer"), value_set=pa.array(list(labels), pa.string()))
    unknown = table.filter(pc.invert(known))
    named = unknown.column("answer").unique().to_pylist()[:SHOWN_LABELS]
    for row, answer in zip(unknown.column("row").to_pylist(), unknown.column("answer").to_pylist(), strict=True):
        what = f"unknown label {answer[:40]!r}" if answer in named else "other unknown label"
        report.unkeep(f"{what} (known: {', '.join(labels)[:200]})", [row])
    table = table.filter(known)
    counts = {entry["values"]: entry["counts"] for entry in table.column("answer").value_counts().to_pylist()}
    if len(counts) < 2:
        report.fail(_too_few(list(counts)))
        return table
    rare = [label for label in labels if counts.get(label, 0) < FEWEST_ROWS]
    for label in rare[:SHOWN_LABELS]:
        report.note(f"label {label!r} has {counts.get(label, 0)} rows")
    if len(rare) > SHOWN_LABELS:
        report.note(f"{len(rare) - SHOWN_LABELS} more labels have fewer than {FEWEST_ROWS} rows")
    if len(rare) > max(SHOWN_LABELS, len(labels) / 2):
        report.note("most labels are rare: if the answers are free text, say --kind generation")
    return table


def predict_small_classes(table: pa.Table, labels: Sequence[str], report: Report) -> None:
    """Warn of classes that are too small before anything is left out; a defense only makes them smaller."""
    counts = {entry["values"]: entry["counts"] for entry in table.column("answer").value_counts().to_pylist()}
    for warning in small_classes({label: counts.get(label, 0) for label in labels})[:SHOWN_LABELS]:
        report.note(warning)


def check_duplicates(table: pa.Table, report: Report) -> None:
    """Warn of texts that stand more than once, and of those whose labels differ."""
    # One text under two images asks two things.
    for name, strings in extras_as_text(table).items():
        table = table.set_column(table.schema.get_field_index(name), name, strings)
    grouped = table.group_by(["text", *extras_of(table)]).aggregate(
        [("row", "count"), ("row", "min"), ("answer", "count_distinct")]
    )
    repeated = grouped.filter(pc.greater(grouped.column("row_count"), 1))
    conflicting = repeated.filter(pc.greater(repeated.column("answer_count_distinct"), 1))
    same = repeated.filter(pc.equal(repeated.column("answer_count_distinct"), 1))
    report.warn("text stands more than once, with the same label", sorted(same.column("row_min").to_pylist()))
    report.warn("text stands more than once, with different labels", sorted(conflicting.column("row_min").to_pylist()))


def check_damage(table: pa.Table, report: Report) -> None:
    """Warn of texts that show the replacement character of a lossy decoding."""
    hit = pc.match_substring(table.column("text"), "\ufffd")
    report.warn("text holds U+FFFD, the mark of a broken encoding", table.column("row").filter(hit).to_pylist())


def check_strings(table: pa.Table, strings: Sequence[str], what: str, report: Report, *, column: str = "text") -> None:
    """Warn of texts (or answers) that already contain one of `strings`, whatever their case."""
    searched = whole_texts(table) if column == "text" else table.column(column)
    hit = pa.scalar(False)
    for string in strings:
        hit = pc.or_(hit, pc.match_substring(searched, string.strip(), ignore_case=True))
    if strings:
        # Which string it is stays unsaid: the benign trigger is a secret, and reports end up in logs.
        report.warn(f"{column} already contains {what}", table.column("row").filter(hit).to_pylist())
