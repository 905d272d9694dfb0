"""Help that fits a screen: the options that most people need; `--help-all` shows every one."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any

from cyclopts.help import DefaultFormatter

if TYPE_CHECKING:
    from cyclopts.help import HelpPanel
    from rich.console import Console, ConsoleOptions

ALL = "--help-all"
TRIMMED = ("fit", "check", "compare", "immunize", "validate", "evaluate", "inspect", "poison")
"""The commands whose help is shortened; the others have few options."""
_BASIC_NAMES = """attack defense epochs fail-on-findings file help help-all json learning-rate model out outputs
probes prove referee seeds task test top-layers trusted truth text-column label-column"""
BASIC = frozenset(f"--{name}" for name in _BASIC_NAMES.split())
"""The options that are always shown."""


class ShortHelp(DefaultFormatter):
    """Leaves out of each panel the options that few people need, and panels of which nothing is left."""

    def __call__(self, console: Console, options: ConsoleOptions, panel: HelpPanel) -> None:
        """Render what is left of a panel."""
        entries = [entry for entry in panel.entries if is_basic(entry)]
        if entries or not panel.entries:
            shown = copy(panel)
            shown.entries = entries
            super().__call__(console, options, shown)


def is_basic(entry: Any) -> bool:
    """Whether an entry is an argument, is required, or is one of the basic options."""
    names = set(entry.positive_names)
    return bool(entry.positional_label) or bool(getattr(entry, "required", False)) or not names or bool(names & BASIC)


def formatter_for(words: list[str]) -> tuple[Any, list[str], str]:
    """How help is shown, the words of the command without `--help-all`, and what is said behind the help."""
    if ALL in words:
        return None, ["--help" if word == ALL else word for word in words], ""
    asks = bool({"--help", "-h"} & set(words))
    if asks and words[0] in TRIMMED:
        return ShortHelp(), words, f"More options: antivenom {words[0]} {ALL}. A file of options: --settings FILE."
    return None, words, ""
