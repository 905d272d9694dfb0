"""What a defense leaves of each class, looked at before the last fit: a model of too few rows is safe and useless."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from antivenom.core.errors import RowsError
from antivenom.data.validation import LEAST_CLASS_ROWS, small_classes
from antivenom.defenses import Prepared

MEND = (
    "Vouch for rows of these classes with --trusted, add rows, or join classes; --force trains on what is left. "
    "What was fitted so far is used again."
)


@dataclass(frozen=True)
class Remaining:
    """How many rows of each class came, and how many are left to train on."""

    given: Mapping[str, int]
    left: Mapping[str, int]

    @classmethod
    def of(cls, train: pa.Table, prepared: Prepared) -> Remaining:
        """Count rows, not their copies; free answers have no classes, and nothing is counted.

        Args:
            train: The untrusted rows.
            prepared: What a defense made of them; trusted rows stand among what is left.
        """
        classes = prepared.guard.task.classes
        if classes is None:
            return cls({}, {})
        once = prepared.rows.group_by("row").aggregate([("answer", "min")]).column("answer_min")
        return cls(_counts(train.column("answer"), classes), _counts(once, classes))

    def lines(self) -> list[str]:
        """A line for each class, in the order of the labels."""
        return [f"  {label!r}: {self.left[label]} rows of {given}" for label, given in self.given.items()]

    def require_enough(self) -> None:
        """Refuse to train where a class keeps too few rows to be learned.

        Raises:
            RowsError: names the least number, every class with what is left of it, and how to mend it.
        """
        small = [label for label, left in self.left.items() if left < LEAST_CLASS_ROWS]
        if small:
            raise RowsError(
                f"{len(small)} of {len(self.left)} classes keep fewer than {LEAST_CLASS_ROWS} rows: too few to learn",
                details=self.lines(),
                mend=MEND,
            )

    def warnings(self) -> list[str]:
        """What is too small, in words; empty where nothing is."""
        return small_classes(self.left) if self.left else []


def _counts(answers: pa.ChunkedArray, classes: tuple[str, ...]) -> dict[str, int]:
    found = {entry["values"]: entry["counts"] for entry in answers.value_counts().to_pylist()}
    return {label: found.get(label, 0) for label in classes}
