"""What a source holds before anything was decided about it: the common form of all readers."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import pyarrow as pa

from antivenom.core.errors import RowsError

Record = tuple[int, Mapping[str, Any]]
"""The number of a row in its source, from 1, and its values by column."""

RECORD_ROWS = 20_000
"""Rows that become Python dictionaries together."""


class RawRows(NamedTuple):
    """The rows of a source, to be walked as often as needed."""

    batches: Callable[[list[str]], Iterator[list[Record]]]
    """Given the columns that are wanted, yields lists of records. Those of JSON hold what else the row has, too."""
    columns: list[str]
    """Every column that is known of; a line of JSON may have keys that none before it had."""
    names: Mapping[str, list[str]] = MappingProxyType({})
    """The label names, by number, of each column for which the source declares them (a ClassLabel feature)."""
    tables: Callable[[list[str]], Iterator[pa.RecordBatch]] | None = None
    """The same rows as Arrow batches, where the source has columns of one type each."""
    notes: tuple[str, ...] = ()
    """What was found out about the source and a user should hear."""


def of_records(records: Callable[[], Iterator[Mapping[str, Any]]], columns: Sequence[str]) -> RawRows:
    """Rows that are read as dictionaries, anew at each call."""

    def batches(_: list[str]) -> Iterator[list[Record]]:
        numbered = enumerate(records(), start=1)
        while batch := list(itertools.islice(numbered, RECORD_ROWS)):
            yield batch

    return RawRows(batches, list(columns))


def of_tables(
    tables: Callable[[list[str]], Iterator[pa.RecordBatch]],
    columns: Sequence[str],
    where: str,
    *,
    names: Mapping[str, list[str]] = MappingProxyType({}),
    notes: tuple[str, ...] = (),
) -> RawRows:
    """Rows that are read as Arrow batches, anew at each call; `where` names the source in errors."""

    def guarded(wanted: list[str]) -> Iterator[pa.RecordBatch]:
        seen = 0
        try:
            for batch in tables(wanted):
                yield batch
                seen += batch.num_rows
        except RowsError:
            raise
        except (pa.ArrowException, OSError, ValueError, OverflowError, KeyError) as error:
            raise damaged(where, seen, error) from None

    def batches(wanted: list[str]) -> Iterator[list[Record]]:
        row = itertools.count(1)
        for batch in guarded(wanted):
            for start in range(0, batch.num_rows, RECORD_ROWS):
                part = batch.slice(start, RECORD_ROWS)
                try:
                    records = part.to_pylist()
                except (pa.ArrowException, ValueError, OverflowError) as error:
                    raise damaged(where, next(row) - 1, error) from None
                yield [(next(row), record) for record in records]

    return RawRows(batches, list(columns), names, guarded, notes)


def damaged(where: str, seen: int, error: Exception) -> RowsError:
    """The error for a value that Arrow or Python cannot represent."""
    return RowsError(f"{where}: a value after row {seen} is damaged or unreadable ({error})")


def joined(parts: Sequence[RawRows], where: str) -> RawRows:
    """The rows of several files of one kind, numbered through.

    Raises:
        RowsError: they declare different label names for one column.
    """
    names: dict[str, list[str]] = {}
    for column, declared in (item for part in parts for item in part.names.items()):
        if names.setdefault(column, declared) != declared:
            raise RowsError(f"{where}: its files declare different label names for the column {column!r}")

    def batches(wanted: list[str]) -> Iterator[list[Record]]:
        row = itertools.count(1)
        for part in parts:
            for batch in part.batches(wanted):
                yield [(next(row), record) for _, record in batch]

    def tables(wanted: list[str]) -> Iterator[pa.RecordBatch]:
        for part in parts:
            assert part.tables is not None
            yield from part.tables(wanted)

    whole = all(part.tables is not None for part in parts)
    columns = columns_of(part.columns for part in parts)
    notes = tuple(dict.fromkeys(note for part in parts for note in part.notes))
    return RawRows(batches, columns, names, tables if whole else None, notes)


def columns_of(records: Iterable[Iterable[str]]) -> list[str]:
    """Every name in any of the records, in the order in which they come up."""
    return list(dict.fromkeys(key for record in records for key in record))


def require_columns(columns: Sequence[str], where: str, most: int) -> None:
    """Refuse a header that names a column twice, or has too many.

    Raises:
        RowsError: says which.
    """
    if len(columns) > most:
        raise RowsError(f"{where}: {len(columns)} columns, more than {most}", mend="Raise it with --most-columns.")
    repeated = sorted(name for name, count in Counter(columns).items() if count > 1)
    if repeated:
        raise RowsError(f"{where}: column {repeated[0]!r} appears twice in the header")


def is_unicode(text: str) -> bool:
    """Whether `text` can be stored at all: a lone surrogate, which JSON may spell, is no character."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def are_names(names: object) -> bool:
    """Whether these can be the names of labels: different strings, none blank."""
    strings = isinstance(names, list) and all(isinstance(n, str) and n.strip() and is_unicode(n) for n in names)
    return strings and len(set(names)) == len(names)  # type: ignore[call-overload, arg-type]
