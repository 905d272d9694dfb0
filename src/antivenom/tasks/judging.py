"""Which judge decides about the free answers of a task."""

from __future__ import annotations

from antivenom.judges import Judge, parse_judge
from antivenom.tasks.generation import Generation

__all__ = ["Judge", "judge_of"]


def judge_of(task: Generation) -> Judge:
    """The judge that the task names.

    Raises:
        OptionsError: there is no such judge.
    """
    return parse_judge(task.judge)
