"""What a referee said of every training row, kept in half precision, and asked again without a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from antivenom.core.arrays import Floats
from antivenom.core.errors import RowsError
from antivenom.core.files import atomic_write
from antivenom.core.intake import foreign
from antivenom.data.columnar import read_whole
from antivenom.data.query import Asked, queries
from antivenom.guards.guard import AnyTask, Guard
from antivenom.guards.labels import ChoiceScores
from antivenom.models.lab import Fitted, HeadGradient
from antivenom.suites.cell import Cell
from antivenom.tasks.task_files import TaskFile, load_task


@dataclass(frozen=True)
class StoredReferee:
    """The answers of one referee about the training rows of one cell."""

    rows: npt.NDArray[np.int64]
    """The numbers of the rows."""
    asked: list[str]
    """What was asked of each, as `key_of` writes it."""
    log_probabilities: npt.NDArray[np.float32]
    """Shape (rows, choices)."""
    other: npt.NDArray[np.bool_]
    trained_on: npt.NDArray[np.bool_]
    """Which rows this referee was fine-tuned on."""

    @classmethod
    def ask(cls, referee: Fitted, rows: pa.Table, trained_on: pa.Table) -> StoredReferee:
        """Ask a referee about all rows.

        Args:
            referee: The model.
            rows: All training rows.
            trained_on: What the referee was fine-tuned on.
        """
        asked = queries(rows)
        scores = referee.score(asked)
        numbers = rows.column("row").to_numpy()
        return cls(
            rows=numbers,
            asked=[key_of(each) for each in asked],
            log_probabilities=scores.log_probabilities.astype(np.float32),
            other=scores.other,
            trained_on=np.isin(numbers, trained_on.column("row").to_numpy()),
        )

    def joined(self, more: Mapping[str, tuple[npt.NDArray[np.float32], bool]]) -> StoredReferee:
        """The same with answers about texts that are no training rows, numbered -1.

        Args:
            more: Scores and `other` of each, by what was asked.
        """
        known = set(self.asked)
        more = {key: found for key, found in more.items() if key not in known}
        if not more:
            return self
        scores, others = zip(*more.values(), strict=True)
        count = len(more)
        return StoredReferee(
            rows=np.concatenate([self.rows, np.full(count, -1)]),
            asked=[*self.asked, *more],
            log_probabilities=np.concatenate([self.log_probabilities, np.stack(scores)]),
            other=np.concatenate([self.other, np.array(others, dtype=bool)]),
            trained_on=np.concatenate([self.trained_on, np.zeros(count, dtype=bool)]),
        )

    def write(self, path: Path) -> None:
        """Keep the answers as Parquet."""
        columns = {
            "row": self.rows,
            "asked": self.asked,
            "log_probabilities": as_lists(self.log_probabilities),
            "other": self.other,
            "trained_on": self.trained_on,
        }
        write_rows(path, pa.table(columns))

    @classmethod
    def load(cls, path: Path) -> StoredReferee:
        """Read what `write` kept.

        Raises:
            RowsError: it is no such file.
        """
        mend = "Run its cell again."
        with foreign(f"{path}: no stored answers of a referee", error=RowsError, mend=mend):
            table = read_whole(path, mend=mend)
            return cls(
                rows=table.column("row").to_numpy(),
                asked=table.column("asked").to_pylist(),
                log_probabilities=as_matrix(table.column("log_probabilities")),
                other=table.column("other").to_numpy().astype(bool),
                trained_on=table.column("trained_on").to_numpy().astype(bool),
            )

    def behind(self, guard: Guard) -> Replayed:
        """The referee behind a guard, as a defense asks it."""
        return Replayed(self, guard, {key: i for i, key in enumerate(self.asked)})


@dataclass(frozen=True)
class Replayed:
    """A referee that only says what it said before."""

    stored: StoredReferee
    guard: Guard
    places: dict[str, int]

    def score(self, asked: Sequence[Asked], *, progress: str | None = None) -> ChoiceScores:
        """The stored scores of training rows.

        Raises:
            RowsError: something is asked that is no training row.
        """
        rows = [_found(self.places, key_of(each)) for each in asked]
        scores = self.stored.log_probabilities[rows].astype(np.float64)
        return ChoiceScores(scores, self.stored.other[rows])

    def answer_states(self, asked: Sequence[Asked], *, progress: str | None = None) -> npt.NDArray[np.float32]:
        """Not kept.

        Raises:
            RowsError: always.
        """
        raise not_kept("the states behind an answer")

    def inner_states(
        self, asked: Sequence[Asked], depths: Sequence[float], *, progress: str | None = None
    ) -> npt.NDArray[np.float32]:
        """Not kept.

        Raises:
            RowsError: always.
        """
        raise not_kept("the states inside")

    def losses(self, rows: pa.Table, *, progress: str | None = None) -> Floats:
        """Not kept.

        Raises:
            RowsError: always.
        """
        raise not_kept("losses")

    def gradients(self, rows: pa.Table, *, progress: str | None = None) -> Iterator[HeadGradient]:
        """Not kept.

        Raises:
            RowsError: always.
        """
        raise not_kept("gradients")

    def likelihood(self, texts: Sequence[str], *, window: int = 0, progress: str | None = None) -> Floats:
        """Not kept.

        Raises:
            RowsError: always.
        """
        raise not_kept("likelihoods")

    def write(self, asked: Sequence[Asked], *, longest: int, progress: str | None = None) -> list[str]:
        """Not kept.

        Raises:
            RowsError: always.
        """
        raise not_kept("written answers")

    def complete(self, texts: Sequence[str], *, longest: int, progress: str | None = None) -> list[str]:
        """Not kept.

        Raises:
            RowsError: always.
        """
        raise not_kept("continuations")


class ReplayRows(NamedTuple):
    """The rows of a cell as its defense met them, and the truth about them."""

    task: AnyTask
    rows: pa.Table
    trusted: pa.Table
    poisoned: frozenset[int]
    before: pa.Table


def rows_to_replay(cell: Cell, folder: Path, key: str) -> ReplayRows:
    """Read the rows that a cell kept.

    Raises:
        RowsError: it kept none, or its rows had more than a text and an answer.
    """
    file = load_task(cell.task.preset) if cell.task.preset else TaskFile()
    if file.context_column or file.image_column:
        raise RowsError("the rows had a context or an image, which is not kept")
    path = folder / "replay" / key / "rows.parquet"
    mend = "Run its cell again."
    with foreign(f"{path}: no rows of a cell", error=RowsError, mend=mend):
        kept = read_whole(path, mend=mend)
        labels = {*kept.column("given").unique().to_pylist(), *kept.column("before").unique().to_pylist()} - {""}
        rows = pa.table({"row": kept.column("row"), "text": kept.column("text"), "answer": kept.column("given")})
        before = rows.set_column(2, "answer", kept.column("before"))
        poisoned = frozenset(kept.filter(kept.column("poisoned")).column("row").to_pylist())
        trusted = rows.filter(kept.column("vouched"))
    return ReplayRows(file.task(tuple(sorted(labels))), rows, trusted, poisoned, before)


def key_of(asked: Asked) -> str:
    """What tells two questions apart."""
    return asked if isinstance(asked, str) else repr(asked)


def write_rows(path: Path, table: pa.Table) -> None:
    """Write a table as Parquet, whole or not at all."""
    import pyarrow.parquet as pq

    with atomic_write(path, "wb") as file:
        pq.write_table(table, file, compression="zstd")


def _found(places: dict[str, int], key: str) -> int:
    if key not in places:
        raise RowsError(
            "the defense asks about a text that its referee was never asked about", mend="It cannot be replayed."
        )
    return places[key]


def not_kept(what: str) -> RowsError:
    """The error of a replay that lacks something."""
    return RowsError(f"the defense asks a referee for {what}", mend="A replay has scores alone.")


def as_lists(matrix: npt.NDArray[Any]) -> pa.Array:
    """The rows of a matrix as lists of one length."""
    return pa.FixedSizeListArray.from_arrays(pa.array(matrix.ravel()), matrix.shape[1])


def as_matrix(column: pa.ChunkedArray) -> npt.NDArray[Any]:
    """The matrix behind such lists."""
    lists = column.combine_chunks()
    found: npt.NDArray[Any] = lists.flatten().to_numpy(zero_copy_only=False).reshape(len(lists), -1)
    return found
