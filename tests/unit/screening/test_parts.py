"""Rows counted in parts: however they are cut, what is said of them is what one process says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from screen_rows import LABELS, make_rows, plant, rows_of_many_classes

from antivenom.screening.inspection import inspect, inspect_parts
from antivenom.screening.parts import Part


@dataclass
class Cut:
    """Rows cut at some places; what each part told is kept."""

    table: pa.Table
    places: list[int]

    def each(self, work: Callable[[Part], Any]) -> Iterator[Any]:
        ends = [0, *self.places, self.table.num_rows]
        for first, last in pairwise(ends):
            yield work(Part(self.table.slice(first, last - first), first))


def in_parts(table: pa.Table, labels: Any, places: list[int]) -> Any:
    return inspect_parts(Cut(table, places), table.select(["row", "answer"]), labels, seed=3)


@pytest.mark.parametrize("places", [[], [200], [1, 1, 7, 399], list(range(0, 400, 23))], ids=len)
def test_the_cuts_change_nothing(places: list[int]) -> None:
    table, _ = plant(make_rows(400), 0.1)
    expected = inspect(table, LABELS, seed=3)
    assert expected.suspects
    found = in_parts(table, LABELS, places)
    assert found == expected
    assert str(found) == str(expected)


def test_parts_of_one_label_each() -> None:
    table, _ = plant(make_rows(400), 0.1)
    table = table.sort_by("answer")
    first = table.column("answer").to_pylist().count(min(LABELS))
    assert in_parts(table, LABELS, [first, first + 5]) == inspect(table, LABELS, seed=3)


def test_many_classes_and_a_label_without_rows() -> None:
    table, _ = rows_of_many_classes(900, "no cross no crown", "relabeled")
    labels = [*sorted(set(table.column("answer").to_pylist())), "nobody"]
    assert in_parts(table, labels, [100, 101, 640]) == inspect(table, labels, seed=3)


def test_a_part_tells_little_of_rare_features() -> None:
    """What comes back of a part grows with what may be named, not with its rows."""
    rows = np.random.default_rng(0).integers(0, 10**6, size=(4000, 12))
    texts = [" ".join(map(str, row)) for row in rows]
    table = make_rows(4000).set_column(1, "text", pa.array(texts))
    told: list[int] = []

    class Watched(Cut):
        def each(self, work: Callable[[Part], Any]) -> Iterator[Any]:
            for made in super().each(work):
                if getattr(work, "__name__", "") == "often":
                    told.append(len(made.columns))
                yield made

    inspect_parts(Watched(table, [2000]), table.select(["row", "answer"]), LABELS, seed=3)
    assert len(told) == 2
    assert max(told) < 4000, "there are 100,000 features in a part"
