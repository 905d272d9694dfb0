"""How far a training is, shown as everything else is: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from transformers import Trainer, TrainerCallback

from antivenom.core.progress import progress_bar


@contextlib.contextmanager
def shown_steps(trainer: Trainer, quiet: bool) -> Iterator[None]:
    """Show the optimizer steps of a training while the block runs; what is shown is closed whatever ends it."""
    with contextlib.ExitStack() as shown:
        if not quiet:
            trainer.add_callback(_Steps(shown))
        yield


class _Steps(TrainerCallback):
    """Counts steps, those before a checkpoint that the training goes on from among them."""

    def __init__(self, shown: contextlib.ExitStack) -> None:
        self._shown = shown

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        what = "training" if state.is_world_process_zero else None
        self._advance = self._shown.enter_context(progress_bar(what, total=state.max_steps, unit="step"))
        self._advance(state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._advance(1)
