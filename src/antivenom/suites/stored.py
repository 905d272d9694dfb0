"""What a referee said of every training row, kept in half precision, and asked again without a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from antivenom.core.errors import RowsError
from antivenom.core.files import atomic_write
from antivenom.data.query import Asked, queries
from antivenom.defenses import Prepared
from antivenom.guards.guard import Guard
from antivenom.guards.labels import ChoiceScores


class Asker(Protocol):
    """A model behind its guard."""

    @property
    def guard(self) -> Guard:
        """Wraps what is asked."""
        ...

    def score(self, asked: Sequence[Asked], *, progress: str | None = None) -> ChoiceScores:
        """Score texts."""
        ...

    def states(self, texts: Sequence[str], *, progress: str | None = None) -> npt.NDArray[np.float32]:
        """What the model makes of bare texts."""
        ...


@dataclass(frozen=True)
class StoredReferee:
    """The answers of one referee about the training rows of one cell."""

    rows: npt.NDArray[np.int64]
    """The numbers of the rows."""
    asked: list[str]
    """What was asked of each, as `key_of` writes it."""
    texts: list[str]
    log_probabilities: npt.NDArray[np.float32]
    """Shape (rows, choices)."""
    other: npt.NDArray[np.bool_]
    read: npt.NDArray[np.float16]
    """Hidden states, shape (rows, width)."""
    trained_on: npt.NDArray[np.bool_]
    """Which rows this referee was fine-tuned on."""

    @classmethod
    def ask(cls, referee: Asker, rows: pa.Table, prepared: Prepared) -> StoredReferee:
        """Ask a referee about all rows.

        Args:
            referee: The model.
            rows: All training rows.
            prepared: What the referee was fine-tuned on.
        """
        asked, texts = queries(rows), rows.column("text").to_pylist()
        scores = referee.score(asked)
        numbers = rows.column("row").to_numpy()
        return cls(
            rows=numbers,
            asked=[key_of(each) for each in asked],
            texts=texts,
            log_probabilities=scores.log_probabilities.astype(np.float32),
            other=scores.other,
            read=referee.states(texts).astype(np.float16),
            trained_on=np.isin(numbers, prepared.rows.column("row").to_numpy()),
        )

    def write(self, path: Path) -> None:
        """Keep the answers as Parquet."""
        columns = {
            "row": self.rows,
            "asked": self.asked,
            "text": self.texts,
            "log_probabilities": _lists(self.log_probabilities),
            "other": self.other,
            "states": _lists(self.read),
            "trained_on": self.trained_on,
        }
        write_rows(path, pa.table(columns))

    @classmethod
    def load(cls, path: Path) -> StoredReferee:
        """Read what `write` kept.

        Raises:
            RowsError: it is no such file.
        """
        import pyarrow.parquet as pq

        try:
            table = pq.read_table(path)
            return cls(
                rows=table.column("row").to_numpy(),
                asked=table.column("asked").to_pylist(),
                texts=table.column("text").to_pylist(),
                log_probabilities=_matrix(table.column("log_probabilities")),
                other=table.column("other").to_numpy().astype(bool),
                read=_matrix(table.column("states")),
                trained_on=table.column("trained_on").to_numpy().astype(bool),
            )
        except (OSError, KeyError, pa.ArrowInvalid) as error:
            raise RowsError(f"{path}: no stored answers of a referee ({error})", mend="Run its cell again.") from None

    def behind(self, guard: Guard) -> Replayed:
        """The referee behind a guard, as a defense asks it."""
        return Replayed(self, guard, {key: i for i, key in enumerate(self.asked)}, {t: i for i, t in enumerate(self.texts)})


@dataclass(frozen=True)
class Replayed:
    """A referee that only says what it said before."""

    stored: StoredReferee
    guard: Guard
    places: dict[str, int]
    texts: dict[str, int]

    def score(self, asked: Sequence[Asked], *, progress: str | None = None) -> ChoiceScores:
        """The stored scores of training rows.

        Raises:
            RowsError: something is asked that is no training row.
        """
        rows = [_found(self.places, key_of(each)) for each in asked]
        scores = self.stored.log_probabilities[rows].astype(np.float64)
        return ChoiceScores(scores, self.stored.other[rows])

    def states(self, texts: Sequence[str], *, progress: str | None = None) -> npt.NDArray[np.float32]:
        """The stored states of training rows."""
        return self.stored.read[[_found(self.texts, text) for text in texts]].astype(np.float32)


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
        raise RowsError("the defense asks about a text that is no training row", mend="It cannot be replayed.")
    return places[key]


def _lists(matrix: npt.NDArray[Any]) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(matrix.ravel()), matrix.shape[1])


def _matrix(column: pa.ChunkedArray) -> npt.NDArray[Any]:
    lists = column.combine_chunks()
    return lists.flatten().to_numpy(zero_copy_only=False).reshape(len(lists), -1)
