"""The boundary of the program: what people are told about an exception, and the exit code that goes with it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

from antivenom.core.errors import AntivenomError

WRITTEN_WRONGLY = 2
"""The exit code of a command that cannot be read."""
BUG = 70
"""As `sysexits.h` has it: an internal error."""
PIPE_CLOSED = 141
"""128 + SIGPIPE, as of programs that the signal ends."""
LONGEST_REASON = 300
MEND_FILES = "Check the path, its permissions and the space left on the disk."
FILE_ERRORS = (
    *(
        "No space left on device",
        "Disk quota exceeded",
        "File too large",
        "Too many open files",
        "Read-only file system",
    ),
    *("embedded null byte", "Permission denied", "PytorchStreamWriter failed", "inline_container", "iostream error"),
)
"""What libraries without errors of their own for files say (safetensors, torch) where the system refused."""


class Terminated(KeyboardInterrupt):
    """SIGTERM came: what tidies up after Ctrl-C tidies up after this."""


@dataclass(frozen=True)
class Failure:
    """What is said on standard error, and the exit code."""

    code: int
    lines: tuple[str, ...]


def explain(error: BaseException) -> Failure:
    """What to say about an exception that reached the top."""
    if isinstance(error, KeyboardInterrupt):
        code = 143 if isinstance(error, Terminated) else 130
        return Failure(code, ("antivenom: stopped; repeat the command to go on",))
    if isinstance(error, AntivenomError):
        return Failure(1, (f"antivenom: {error.what}", *error.details, *([error.mend] if error.mend else [])))
    if isinstance(error, BrokenPipeError):
        return Failure(PIPE_CLOSED, ())
    if _is_of(error, "cyclopts", "UnknownOptionError"):
        return Failure(WRITTEN_WRONGLY, _unknown_option(error))
    if _is_of(error, "cyclopts", "CycloptsError"):
        words = ("Try: antivenom", *(getattr(error, "command_chain", None) or ()), "--help")
        return Failure(WRITTEN_WRONGLY, (*f"antivenom: {error}".splitlines(), " ".join(words)))
    if isinstance(error, ModuleNotFoundError) and not str(error.name).startswith("antivenom"):
        return Failure(1, (f"antivenom: the package {error.name} is missing", "Run `pip install 'antivenom[train]'`."))
    if isinstance(error, OSError):
        where = f": {error.filename}" if error.filename else ""
        return Failure(1, (f"antivenom: {error.strerror or error}{where}", MEND_FILES))
    if foreign := next((sign for sign in FILE_ERRORS if sign in str(error)), None):
        return Failure(1, (f"antivenom: a file cannot be written or read ({foreign})", MEND_FILES))
    if isinstance(error, MemoryError) or _is_of(error, "torch", "OutOfMemoryError"):
        return Failure(1, ("antivenom: out of memory", "Lower --batch-size, --max-tokens or the number of rows."))
    reason = (str(error).strip().splitlines() or [""])[0][:LONGEST_REASON]
    said = f"antivenom: {type(error).__name__}: {reason}" if reason else f"antivenom: {type(error).__name__}"
    mend = (
        "This is a bug in antivenom or in a library under it; please report it. `antivenom -v ...` shows where it is."
    )
    return Failure(BUG, (said, mend))


def _unknown_option(error: Any) -> tuple[str, ...]:
    """Which option is not known, and which may have been meant; a value behind it is never shown."""
    from antivenom.cli.hints import meant

    option = str(error.token.keyword or error.token.value).partition("=")[0]
    known = [name for argument in error.argument_collection if argument.parse for name in argument.names]
    command = " ".join(error.command_chain or ())
    likely = meant(option, known)
    mend = f"Did you mean {likely}? " if likely else ""
    return f"antivenom: there is no option {option}", f"{mend}Try: antivenom {command} --help-all"


def _is_of(error: BaseException, module: str, name: str) -> bool:
    """Whether an exception is of a class of a library, which is not imported for this."""
    known = getattr(sys.modules.get(module), name, None)
    return isinstance(known, type) and isinstance(error, known)
