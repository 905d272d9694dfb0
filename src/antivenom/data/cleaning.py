"""Records of any source become rows: what can be used is kept or fixed, the rest refused, and all of it counted."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from math import isinf, isnan
from numbers import Integral, Real
from types import MappingProxyType
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from antivenom.core.report import Report
from antivenom.data.query import EXTRAS, read_turns
from antivenom.data.raw_rows import Record, is_unicode
from antivenom.data.read_options import ReadLimits

SCHEMA = pa.schema([("row", pa.int64()), ("text", pa.string()), ("answer", pa.string())])

CONTROL_CHARACTERS = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"
"""Characters that no text needs and that tokenizers and terminals stumble over; tab and newlines may stay."""


class ExtraColumn(NamedTuple):
    """A column of the source that goes into one of `query.EXTRAS`."""

    column: str
    read: Callable[[object], Any]
    """Takes a value of it; a string that comes back says what is wrong with the value."""


def clean_records(
    records: Sequence[Record],
    text_column: str,
    answer_column: str,
    report: Report,
    extras: Mapping[str, ExtraColumn] = MappingProxyType({}),
    longest: int = ReadLimits.longest_text,
) -> pa.Table:
    """The usable rows among records, with what was fixed and refused counted in `report`.

    Args:
        records: Numbered records of a source.
        text_column: Where the texts are.
        answer_column: Where the answers are.
        report: The account of the rows.
        extras: Where the context and the image are, by the names of `query.EXTRAS`, for rows that have them.
        longest: Bytes that a text or answer may have.
    """
    return _fix_characters(_strings(records, text_column, answer_column, report, extras, longest), report)


def _strings(
    records: Sequence[Record],
    text_column: str,
    answer_column: str,
    report: Report,
    extras: Mapping[str, ExtraColumn],
    longest: int,
) -> pa.Table:
    """Keep the rows whose text and answer are there and are strings (or numbers); count the others as refused."""
    rows, texts, answers = [], [], []
    others: dict[str, list[Any]] = {name: [] for name in extras}
    for number, record in records:
        text, answer = as_text(record.get(text_column), longest), as_text(record.get(answer_column), longest)
        found = {name: extra.read(record.get(extra.column)) for name, extra in extras.items()}
        bad = next((value for value in found.values() if isinstance(value, str)), "")
        if isinstance(text, Refused):
            report.refuse(f"{text} text", [number])
        elif isinstance(answer, Refused):
            report.refuse(f"{answer} label", [number])
        elif re.search(CONTROL_CHARACTERS, answer):
            report.refuse("control characters in the label", [number])
        elif bad:
            report.refuse(bad, [number])
        else:
            rows.append(number)
            texts.append(text)
            answers.append(answer.strip())
            for name, value in found.items():
                others[name].append(value)
    report.keep(len(rows))
    return pa.table([rows, texts, answers, *others.values()], schema=pa.schema([*SCHEMA, *map(EXTRAS.field, others)]))


class Refused(str):
    """Why a value cannot be used."""

    __slots__ = ()


def as_text(value: object, longest: int = ReadLimits.longest_text) -> str:
    """A value as text; a `Refused` that says what is wrong with it if it is none, or has more than `longest` bytes."""
    if value is None:
        return Refused("missing")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Integral):  # NumPy's numbers are no int and no float
        return str(int(value)) if abs(int(value)) < 10**18 else Refused("out-of-range number as")
    if isinstance(value, Real):
        return _number_as_text(float(value))
    if not isinstance(value, str):
        return Refused(f"{type(value).__name__} instead of a string as")
    if too_long(value, longest):
        return Refused(f"more than {longest} bytes (--longest-text allows more) of")
    if not is_unicode(value):
        return Refused("broken encoding in the")
    return str(value) if value.strip() else Refused("empty")


def too_long(text: str, longest: int) -> bool:
    """Whether a text has more than `longest` bytes of UTF-8."""
    # No character has more than four bytes, so most texts need not be encoded.
    return 4 * len(text) > longest and len(text.encode("utf-8", "surrogatepass")) > longest


def _number_as_text(value: float) -> str:
    if isnan(value):
        return Refused("missing")
    if isinf(value):
        return Refused("out-of-range number as")
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else str(value)


def as_context(value: object, longest: int = ReadLimits.longest_text) -> list[dict[str, str]] | str:
    """A value as the turns before a text, or a string that says what is wrong with it."""
    turns = read_turns(value)
    if isinstance(turns, str):
        return f"{turns} context"
    if any(too_long(turn.content, longest) for turn in turns):
        return f"more than {longest} bytes (--longest-text allows more) of context"
    if not all(is_unicode(turn.content) for turn in turns):
        return "broken encoding in the context"
    cleaned = [{"role": turn.role, "content": re.sub(CONTROL_CHARACTERS, "", turn.content)} for turn in turns]
    if not all(turn["content"].strip() for turn in cleaned):
        return "turn of control characters only in the context"
    return cleaned


def _fix_characters(table: pa.Table, report: Report) -> pa.Table:
    """Remove control characters from the texts; a text that holds nothing else is refused."""
    hit = pc.match_substring_regex(table.column("text"), CONTROL_CHARACTERS)
    if not pc.any(hit).as_py():
        return table
    fixed = pc.replace_substring_regex(table.column("text"), CONTROL_CHARACTERS, "")
    alive = pc.not_equal(pc.utf8_length(pc.utf8_trim_whitespace(fixed)), 0)
    numbers = table.column("row")
    report.fix("control characters removed", numbers.filter(pc.and_(hit, alive)).to_pylist())
    report.unkeep("text of control characters only", numbers.filter(pc.invert(alive)).to_pylist())
    return table.set_column(1, SCHEMA.field("text"), fixed).filter(alive)
