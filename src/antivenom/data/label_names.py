"""From the answers in rows to label names: numbers are looked up, and spellings that nobody can tell apart are one."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from antivenom.core.errors import RowsError
from antivenom.core.report import Report
from antivenom.data.raw_rows import is_unicode

SHOWN_SPELLINGS = 20

# Cf are zero-width and direction marks and the soft hyphen; the others are blank although they count as letters.
_BLANK = "\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0" + "".join(map(chr, range(0xFE00, 0xFE10)))


def require_names(labels: Sequence[str]) -> None:
    """Refuse label names that are blank, repeated or no strings.

    Raises:
        RowsError: names the label.
    """
    for name in labels:
        if not isinstance(name, str) or not name.strip() or not is_unicode(name):
            raise RowsError(f"{name!r} is no label name")
    if len(set(labels)) < len(labels):
        seen: set[str] = set()
        repeated = next(name for name in labels if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise RowsError(f"the label {repeated!r} is named twice")


def numbered_names(answers: Sequence[str], names: Sequence[str], *, certain: bool) -> list[str]:
    """Each answer, or the name that it is the number of. One without a name stays: an unknown label.

    Args:
        answers: Different answers.
        names: The names in order.
        certain: Whether the answers are known to be indices (a ClassLabel). If not, a name that is itself a number
            says that they are not.
    """
    if not names or not (certain or not any(re.fullmatch(r"-?\d+", name) for name in names)):
        return list(answers)
    numbers = {str(i): name for i, name in enumerate(names)}
    return [numbers.get(answer, answer) for answer in answers]


def seen_form(text: str) -> str:
    """What a reader sees of a text: composed (NFC), without invisible characters, every blank one space."""
    visible = "".join(c for c in text if unicodedata.category(c) != "Cf" and c not in _BLANK)
    return unicodedata.normalize("NFC", " ".join(visible.split())) or text


def one_spelling(labels: Sequence[str], known: Sequence[str] = ()) -> dict[str, str]:
    """How each label is to be spelled, so that those which look the same are one.

    A label that is known stays. Others are spelled like the first known one that looks the same; where none is known
    and several look the same, all are spelled as `seen_form` has it, whatever their order.
    """
    groups: dict[str, list[str]] = {}
    for label in dict.fromkeys([*known, *labels]):
        groups.setdefault(seen_form(label), []).append(label)
    there = set(known)
    chosen = {}
    for form, spellings in groups.items():
        first = next((label for label in spellings if label in there), None)
        for label in spellings:
            chosen[label] = label if label in there or len(spellings) == 1 else first or form
    return {label: chosen[label] for label in labels}


def note_spellings(spelled: Mapping[str, str], counts: Mapping[str, int], report: Report) -> None:
    """Say which labels look the same and were read as one.

    Args:
        spelled: Each label as it stands in the rows, and how it is read.
        counts: How many rows have each.
        report: Where it is noted.
    """
    changed = sorted(label for label, read in spelled.items() if label != read)
    for label in changed[:SHOWN_SPELLINGS]:
        said = f"{label!a} ({counts[label]} rows) is read as {spelled[label]!a}"
        report.note(f"two labels look the same and are one: {said}")
    if len(changed) > SHOWN_SPELLINGS:
        report.note(f"{len(changed) - SHOWN_SPELLINGS} more labels look like another and are read as it")


def name_labels(table: pa.Table, names: Sequence[str], report: Report, *, certain: bool) -> pa.Table:
    """The rows with label names for answers: see `numbered_names` and `one_spelling`."""
    counted = table.column("answer").value_counts()
    answers: list[str] = counted.field("values").to_pylist()
    named = numbered_names(answers, names, certain=certain)
    spelled = one_spelling(named, names)
    counts: dict[str, int] = {}
    for name, count in zip(named, counted.field("counts").to_pylist(), strict=True):
        counts[name] = counts.get(name, 0) + count
    note_spellings(spelled, counts, report)
    final = [spelled[name] for name in named]
    if final == answers:
        return table
    places = pc.index_in(table.column("answer"), value_set=pa.array(answers, pa.string()))
    column = pa.chunked_array([pa.array(final, pa.string())]).take(places)
    return table.set_column(table.schema.get_field_index("answer"), table.schema.field("answer"), column)


def sorted_answers(table: pa.Table) -> tuple[str, ...]:
    """The distinct answers, numbers in numeric order."""
    distinct = table.column("answer").unique().to_pylist()
    return tuple(sorted(distinct, key=lambda a: (0, int(a), a) if re.fullmatch(r"\d{1,18}", a) else (1, 0, a)))
