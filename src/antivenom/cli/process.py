"""The streams and signals of a process that runs a command."""

from __future__ import annotations

import logging
import os
import re
import signal
import sys
import warnings
from types import FrameType
from typing import NoReturn

from antivenom.cli.failures import PIPE_CLOSED, Terminated
from antivenom.core.console import printable, warn

_COLORS = re.compile(r"\x1b\[[0-9;]*m")


def hold_streams() -> None:
    """Open what the caller closed, so that no file of ours gets its number and takes what is meant for people."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
    sys.stdin = sys.stdin or os.fdopen(0, "r", closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


def speak_harmlessly() -> None:
    """Let what libraries log and warn of go through the one tongue: names out of files of others stand in it."""
    logging.setLogRecordFactory(_HarmlessRecord)
    warnings.showwarning = _warned


class _HarmlessRecord(logging.LogRecord):
    def getMessage(self) -> str:  # noqa: N802  (logging's name)
        """The message, line by line, without what could steer a terminal."""
        return "\n".join(map(printable, _COLORS.sub("", super().getMessage()).splitlines()))


def _warned(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    warn(f"{category.__name__}: {message}")


def stop_on_signals() -> list[KeyboardInterrupt]:
    """Let SIGINT and SIGTERM end the command with one line; a second one ends it at once.

    Returns:
        What gets the interrupt that was raised, once one was: a library that was interrupted may raise its own error.
    """
    interrupts: list[KeyboardInterrupt] = []

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        interrupts.append(Terminated() if number == signal.SIGTERM else KeyboardInterrupt())
        raise interrupts[0]

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    return interrupts


def end_undisturbed() -> None:
    """Let the interpreter come to its end although a signal arrives: the command is done. A second one ends it."""
    signal.signal(signal.SIGINT, _overhear)
    signal.signal(signal.SIGTERM, _overhear)


def _overhear(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def finish_output(code: int) -> int:
    """Write out what is still held back, before the interpreter does it where nobody catches an error.

    An interrupt that came inside `exec` (libraries make classes with it) is remembered by the interpreter, which would
    end by the signal, although it was caught; evaluating anything makes it forget.

    Returns:
        The exit code: that of the command, unless its output could not be written.
    """
    eval("0")
    try:
        sys.stdout.flush()
    except OSError as error:
        is_closed = isinstance(error, BrokenPipeError)
        code = code or (PIPE_CLOSED if is_closed else 1)
    if code in (1, PIPE_CLOSED):
        _give_up_output()
    return code


def _give_up_output() -> None:
    """Point standard output at nothing where it takes nothing more: the interpreter flushes it once again."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
