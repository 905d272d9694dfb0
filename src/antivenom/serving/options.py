"""Limits and policies of a service."""

from __future__ import annotations

from dataclasses import dataclass

from antivenom.core.options import require_above_zero
from antivenom.inference.writing import OnEscape


@dataclass(frozen=True)
class ServiceLimits:
    """What a service bears. Times are in seconds.

    Raises:
        OptionsError: a limit is not positive.
    """

    most_bytes: int = 1 << 20
    """Largest request."""
    most_requests: int = 256
    """Requests at a time; one more is told to come back (429)."""
    most_turns: int = 200
    """Turns of a conversation."""
    body_seconds: float = 10.0
    """For a client to send its request."""
    first_seconds: float = 120.0
    """Until the first word of an answer, the time in the queue included."""
    next_seconds: float = 60.0
    """From one word of an answer to the next."""
    whole_seconds: float = 600.0
    """For a whole answer."""
    send_seconds: float = 30.0
    """For a client to take a piece of its answer."""
    keep_alive_seconds: float = 15.0
    """A stream that says nothing for so long sends a comment."""
    drain_seconds: int = 30
    """After SIGTERM: for the answers that have begun."""

    def __post_init__(self) -> None:
        require_above_zero(self, *vars(self))


@dataclass(frozen=True)
class Policy:
    """What a client gets."""

    on_escape: OnEscape = "withhold"
    """A free answer that lacks the answer prefix: report it as it is, withhold it, or retry behind the prefix."""
    escape_header: bool = True
    """Whether responses say in `X-Antivenom-Escape` that something pulled the model away."""
    context: bool | None = None
    """Whether there may be turns before the last one; for free answers alone when None."""
    cut_long_texts: bool = False
    """Cut texts that are too long, as `predict` does, instead of refusing them."""
