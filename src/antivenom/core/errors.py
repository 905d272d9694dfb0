"""The errors a user can cause. The command line prints them without a traceback and exits with 1."""

from __future__ import annotations

from collections.abc import Sequence

from antivenom.core.console import printable


class AntivenomError(Exception):
    """Something the user can mend: what happened, and how to mend it."""

    def __init__(self, what: str, *, mend: str = "", details: Sequence[str] = ()) -> None:
        """Keep `what` happened (with the offending value) apart from how to `mend` it.

        Args:
            what: One line.
            mend: What to do about it.
            details: Lines that stand between both for people to read, a table for example.
        """
        self.what = printable(what)
        self.details = tuple(map(printable, details))
        self.mend = printable(mend)
        super().__init__(self.what)

    def __str__(self) -> str:
        """One line, or two when there is a remedy."""
        return f"{self.what}\n{self.mend}" if self.mend else self.what


class RowsError(AntivenomError):
    """The rows cannot be read, or are not fit to train on."""


class OptionsError(AntivenomError):
    """An option is unknown, out of range, or clashes with another."""


class ArtifactError(AntivenomError):
    """A saved artifact is incomplete, was changed, or belongs to something else."""


class MissingPackageError(AntivenomError):
    """An optional package or model is not installed."""


class TrainingDivergedError(AntivenomError):
    """A loss or a weight is not finite: the run is over, and repeating it gives the same."""
