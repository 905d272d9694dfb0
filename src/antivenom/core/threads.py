"""Work on pieces of arrays on all processors: numpy lets go of the interpreter while it computes."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")


def in_threads(work: Callable[[Item], Made], items: Iterable[Item]) -> Iterator[Made]:
    """What `work` makes of each item, in their order; as many at once as there are processors.

    Items are taken as they are needed, so that few of them are in memory.

    Args:
        work: May be done for several items at the same time, in any order.
        items: What to work on.
    """
    waiting: deque[Future[Made]] = deque()
    most = os.cpu_count() or 1
    with ThreadPoolExecutor(most) as pool:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) == most:  # before the next one is made, which takes memory too
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
