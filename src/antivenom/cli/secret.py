"""Give a defense its secret: the user's, or the sentence that the paper has for a task."""

from __future__ import annotations

from dataclasses import replace

from antivenom.defenses import Chain, Defense
from antivenom.defenses.p2p import P2P
from antivenom.defenses.standard import Standard
from antivenom.guards.secret import PAPER_SECRET, Secret
from antivenom.tasks.task_files import TaskFile


def with_secret(defense: Defense, secret: Secret | None, file: TaskFile) -> Defense:
    """Give a defense its secret.

    Args:
        defense: Those without a benign trigger stay as they are.
        secret: The user's, if there is one.
        file: Where a defense has the paper's sentence, the sentence that the paper has for this task takes its place.
    """
    if isinstance(defense, Chain):
        return replace(defense, parts=tuple(with_secret(part, secret, file) for part in defense.parts))
    if not isinstance(defense, P2P | Standard):
        return defense
    if secret is not None:
        return replace(defense, secret=secret)
    if defense.secret is not None and defense.secret.trigger == PAPER_SECRET.trigger and file.paper_trigger:
        return replace(defense, secret=Secret(file.paper_trigger, defense.secret.cue))
    return defense
