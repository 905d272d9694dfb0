"""A limit on the time that code of others may take, in whatever thread it runs."""

from __future__ import annotations

import contextlib
import ctypes
import heapq
import itertools
import os
import threading
import time
from collections.abc import Iterator

from antivenom.core.errors import AntivenomError


class _OutOfTimeError(BaseException):
    """Raised inside the code that took too long; no `except Exception` of that code catches it."""


@contextlib.contextmanager
def time_limit(seconds: float, what: str, *, error: type[AntivenomError], mend: str = "") -> Iterator[None]:
    """Stop the block when it takes longer than `seconds`.

    Another thread, one for all blocks, raises an exception in the thread of the block, between two steps of the Python
    interpreter; entering a block costs some microseconds, for a server enters one with every request. So an
    endless loop of Python code, such as a compiled template, ends; a single call into compiled code ends when it
    returns. Unlike an alarm signal this works in every thread and on every platform.

    Args:
        seconds: The time that the block may take.
        what: What took too long, for the error.
        error: The class of the error to raise.
        mend: How to mend it.

    Raises:
        AntivenomError: of the class `error`: the time was up.
    """
    watch = _Watch(threading.get_ident())
    _CLOCK.at(time.monotonic() + seconds, watch)
    try:
        try:
            yield
        finally:
            watch.end()
    except _OutOfTimeError:
        watch.end()
        raise error(f"{what} took longer than {seconds:.0f} seconds", mend=mend) from None


class _Watch:
    """Raises in one thread as long as the block there has not ended."""

    def __init__(self, thread: int) -> None:
        self._thread = ctypes.c_ulong(thread)
        self._lock = threading.Lock()
        self._ended = self._raised = False

    def expire(self) -> None:
        with self._lock:
            if not self._ended:
                self._raised = True
                ctypes.pythonapi.PyThreadState_SetAsyncExc(self._thread, ctypes.py_object(_OutOfTimeError))

    def end(self) -> None:
        """From here on nothing is raised; what was ordered but not yet raised is taken back."""
        with self._lock:
            self._ended = True
            if self._raised:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(self._thread, None)

    @property
    def ended(self) -> bool:
        return self._ended


class _Clock:
    """Expires watches at their times, in one thread that is started when there is the first watch."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._watches: list[tuple[float, int, _Watch]] = []
        self._count = itertools.count()
        self._process = 0

    def at(self, when: float, watch: _Watch) -> None:
        with self._changed:
            if self._process != os.getpid():  # at first, and in a child process, which has no such thread
                self._process, self._watches = os.getpid(), []
                threading.Thread(target=self._run, name="antivenom-time-limits", daemon=True).start()
            heapq.heappush(self._watches, (when, next(self._count), watch))
            if self._watches[0][2] is watch:
                self._changed.notify()

    def _run(self) -> None:
        with self._changed:
            while True:
                while self._watches and self._watches[0][2].ended:
                    heapq.heappop(self._watches)
                if not self._watches:
                    self._changed.wait()
                elif (left := self._watches[0][0] - time.monotonic()) > 0:
                    self._changed.wait(left)
                else:
                    heapq.heappop(self._watches)[2].expire()


_CLOCK = _Clock()
