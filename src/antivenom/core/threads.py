"""Work on pieces of arrays on all processors: numpy lets go of the interpreter while it computes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")


def in_threads(work: Callable[[Item], Made], items: Iterable[Item]) -> Iterator[Made]:
    """What `work` makes of each item, in their order; as many at once as there are processors.

    Args:
        work: May be done for several items at the same time, in any order.
        items: What to work on.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(work, items)
