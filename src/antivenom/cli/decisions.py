"""What people are told about what was decided about their rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from antivenom.cli.tables import shorten
from antivenom.core.console import say, warn

LITTLE = 0.6
"""A referee that reads the label of fewer of the rows that it was taught, each left out of it, cannot judge others."""
SHOWN_PLANTED = 5
SHOWN_LABELS = 5


def warn_of_losses(reserve: Mapping[str, Any]) -> None:
    """Say on the error stream if a referee learned too little to judge, or a label lost most of its rows."""
    _warn_of_referee(reserve)
    scarce = sorted(reserve.get("scarce", {}).items())
    if scarce:
        shown = ", ".join(f"{shorten(label)!r} ({rows} left)" for label, rows in scarce[:SHOWN_LABELS])
        more = f" and {len(scarce) - SHOWN_LABELS} more" if len(scarce) > SHOWN_LABELS else ""
        warn(
            f"WARNING: most rows of a label were left out: {shown}{more}.",
            "  They are poisoned, or the referee was taught too few of them. Vouch for some with --trusted.",
        )


def _warn_of_referee(reserve: Mapping[str, Any]) -> None:
    learned = reserve.get("referee_accuracy", 1.0)
    if learned < LITTLE:
        warn(
            f"WARNING: the referee reads the label of only {learned:.0%} of the safest rows.",
            "  Do not trust what it kept.",
            "  Give more rows, or a model that knows the task; or vouch for some rows with --trusted.",
        )


def show_decisions(reserve: Mapping[str, Any]) -> None:
    """Print how many rows were left out, and what looks planted, where there is anything."""
    left_out = reserve.get("left_out", 0) + reserve.get("quarantined", 0)
    if left_out:
        total = f" of {left_out + reserve['rows']}" if "left_out" in reserve else ""
        say(f"{left_out}{total} rows were left out as not safe enough to train on.")
    show_planted(reserve)


def show_planted(reserve: Mapping[str, Any]) -> None:
    """Print what looks planted, where there is anything."""
    planted = sorted(reserve.get("planted_strings", {}).items(), key=lambda string: (-string[1], string[0]))
    if planted:
        shown = ", ".join(f"{shorten(text)!r} in {rows} rows" for text, rows in planted[:SHOWN_PLANTED])
        more = f" and {len(planted) - SHOWN_PLANTED} more" if len(planted) > SHOWN_PLANTED else ""
        say(f"Planted, it seems, since it goes with a label that the rest of its rows contradicts: {shown}{more}.")


def warn_of_cut_answers(training: Mapping[str, Any]) -> None:
    """Say on the error stream if answers were too long to be learned whole."""
    cut = training.get("answers_cut", 0)
    if cut:
        warn(
            f"WARNING: {cut} of {training['rows']} answers, with the answer prefix, are longer than --max-new-tokens",
            "  and were cut in training, so the model never saw their ends. Allow longer ones.",
        )


def warn_of_cut_prompts(training: Mapping[str, Any]) -> None:
    """Say on the error stream if rows were longer than the longest prompt, so that their ends were not learned."""
    if cut := training.get("prompts_cut"):
        warn(
            f"WARNING: {cut} of {training['rows']} training rows are longer than --max-tokens and were cut: the end of "
            "the text, or earlier turns.",
            "  Raise --max-tokens if the answer depends on them.",
        )
