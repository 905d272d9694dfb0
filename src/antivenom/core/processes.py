"""One run in several processes, as `torchrun` and `accelerate launch` start them: who writes, and who waits.

The launcher tells each process its rank in the environment. Every process runs the same program; what touches files is
done by the first one alone (`on_first`), and the others wait for it and get what it returned or raised.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from antivenom.core.errors import AntivenomError, OptionsError

Result = TypeVar("Result")

LAUNCHED = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
"""What a launcher sets; without all of them a process is alone."""
PATIENCE = timedelta(hours=6)
"""How long the others wait for the first process, which may read a large data set or fill a cache alone. A process
that dies ends the wait at once."""


def process_count() -> int:
    """How many processes work on this run."""
    return int(os.environ["WORLD_SIZE"]) if all(name in os.environ for name in LAUNCHED) else 1


def process_rank() -> int:
    """The number of this process; the first one, 0, writes files."""
    return int(os.environ["RANK"]) if process_count() > 1 else 0


def is_sharded() -> bool:
    """Whether the launcher asks for FSDP: each process then holds a part of every weight."""
    return process_count() > 1 and os.environ.get("ACCELERATE_USE_FSDP", "").lower() == "true"


def is_first() -> bool:
    """Whether this process writes and prints."""
    return process_rank() == 0


def join_processes() -> None:
    """Connect the processes of a run: over gloo, and over NCCL between GPUs. Nothing happens where one is alone."""
    if process_count() == 1:
        return
    import torch
    from torch import distributed

    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    if not distributed.is_initialized():
        backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
        distributed.init_process_group(backend, timeout=PATIENCE)


@contextlib.contextmanager
def one_voice() -> Iterator[None]:
    """Let the first process alone print to standard output; leave the others' connections in order at the end."""
    with contextlib.ExitStack() as stack:
        if not is_first():
            silence = stack.enter_context(Path(os.devnull).open("w", encoding="utf-8"))
            stack.enter_context(contextlib.redirect_stdout(silence))
        yield
    if process_count() > 1:
        from torch import distributed

        if distributed.is_initialized():
            distributed.destroy_process_group()


def wait_for_all() -> None:
    """Return when every process has got here.

    Everyone hears from everyone: a broadcast would let the first process go on as soon as its message is on the way.
    """
    gathered(None)


def on_first(work: Callable[[], Result]) -> Result:
    """Do something in the first process alone; the others wait and get its result, or its error.

    Args:
        work: Returns something that can be pickled; the processes of a run trust each other.

    Raises:
        AntivenomError: what `work` raised, in every process; its other errors are reported by the first process, and
            end the others with an `AntivenomError`.
    """
    if process_count() == 1:
        return work()
    result: list[Any] = [None, None]
    failure: BaseException | None = None
    if is_first():
        try:
            result = [work(), None]
        except AntivenomError as error:
            failure, result = error, [None, error]
        except Exception as error:
            failure, result = error, [None, AntivenomError(f"the first process failed: {type(error).__name__}")]
    _broadcast(result)
    if failure is not None:
        raise failure
    if result[1] is not None:
        raise result[1]
    found: Result = result[0]
    return found


def gathered(mine: Any) -> list[Any]:
    """What every process hands in, in the order of their ranks; every process gets all of it."""
    if process_count() == 1:
        return [mine]
    from torch import distributed

    join_processes()
    found: list[Any] = [None] * process_count()
    distributed.all_gather_object(found, mine)
    return found


def same_everywhere(mine: str) -> str:
    """What every process must have worked out alike: unlike machines may decide on other rows.

    Raises:
        OptionsError: another process has something else.
    """
    if len(set(gathered(mine))) > 1:
        raise OptionsError(
            "the processes of this run would train on different things",
            mend="Use machines of one kind, or write the rows once with `antivenom immunize` and train on these.",
        )
    return mine


def _broadcast(values: list[Any]) -> None:
    from torch import distributed

    join_processes()
    distributed.broadcast_object_list(values, src=0)
