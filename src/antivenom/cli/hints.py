"""What people are told who name an option that a command does not have: what they may have meant, or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

NEAR = 0.8
"""How alike a name must be to be suggested (`difflib`): `--learning-rat` is, `--lr` is like `--rank` and is not."""
SYNONYMS = {
    "--lr": "--learning-rate",
    "--bs": "--batch-size",
    "--per-device-train-batch-size": "--batch-size",
    "--epoch": "--epochs",
    "--num-epochs": "--epochs",
    "--num-train-epochs": "--epochs",
    "--output": "--out",
    "--output-dir": "--out",
    "-o": "--out",
    "--base-model": "--model",
    "--model-name": "--model",
    "--model-name-or-path": "--model",
    "-m": "--model",
    "--lora-r": "--rank",
    "--lora-rank": "--rank",
    "--lora-alpha": "--alpha",
    "--lora-dropout": "--dropout",
    "--target-modules": "--modules",
    "--max-length": "--max-tokens",
    "--max-seq-length": "--max-tokens",
    "--label": "--label-column",
    "--text": "--text-column",
    "--clean": "--trusted",
    "--benign-trigger": "--secret-file",
    "--random-seed": "--seed",
    "--format-for": "--for",
    "--preset": "--task",
    "--name": "--task",
    "--yaml": "--settings",
    "--help-full": "--help-all",
}
"""What other tools call it, and what it is called here."""


def meant(option: str, known: Sequence[str]) -> str:
    """The option that somebody meant; empty if none of those that a command has is likely.

    Args:
        option: What was written, without a value.
        known: The options that the command has.
    """
    name = option.partition("=")[0].replace("_", "-")
    synonym = SYNONYMS.get(name.lower(), "")
    if synonym in known:
        return synonym
    return next(iter(get_close_matches(name, known, n=1, cutoff=NEAR)), "")
