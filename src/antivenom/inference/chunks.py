"""Answer any number of queries in order and in bounded memory, with a progress bar."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from antivenom.core.progress import progress_bar
from antivenom.data.query import Asked

Answer = TypeVar("Answer")


def in_chunks(
    asked: Iterable[Asked],
    answer: Callable[[list[Asked]], Sequence[Answer]],
    size: int,
    *,
    progress: str | None,
    total: int | None,
) -> Iterator[tuple[Asked, Answer]]:
    """Each query with its answer.

    Args:
        asked: May be endless.
        answer: Answers some queries, in their order.
        size: How many are taken at a time.
        progress: What a progress bar is to be called; none is shown without it.
        total: How many there are, if that is known, for the bar.
    """
    remaining = iter(asked)
    with progress_bar(progress, total=total) as advance:
        while chunk := list(itertools.islice(remaining, size)):
            yield from zip(chunk, answer(chunk), strict=True)
            advance(len(chunk))
