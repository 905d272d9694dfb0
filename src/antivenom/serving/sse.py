"""Server-sent events: written to clients, read from engines."""

from __future__ import annotations

import codecs
import json
from typing import Any

DONE = b"data: [DONE]\n\n"
KEEP_ALIVE = b": still working\n\n"
"""A comment, which every client ignores and every proxy takes for a sign of life."""
LARGEST_EVENT = 1 << 20


def event(data: dict[str, Any]) -> bytes:
    """One event with JSON inside."""
    return f"data: {json.dumps(data, ensure_ascii=False, separators=(',', ':'))}\n\n".encode()


class EventReader:
    """Reads the data of events out of bytes that arrive in any pieces.

    Raises:
        ValueError: (by `feed`) the bytes are not UTF-8, or an event is longer than `LARGEST_EVENT`.
    """

    def __init__(self) -> None:
        """Begin a stream."""
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._text = ""
        self._lines: list[str] = []

    def feed(self, data: bytes) -> list[str]:
        """Take more bytes; return the data of the events that are complete now, comments left out."""
        self._text += self._decoder.decode(data)
        found = []
        # A lone carriage return at the end may be the first half of a line end.
        *lines, self._text = self._text.replace("\r\n", "\n").split("\n")
        for line in lines:
            if line.startswith("data:"):
                self._lines.append(line[5:].removeprefix(" "))
            elif not line and self._lines:
                found.append("\n".join(self._lines))
                self._lines = []
        if len(self._text) + sum(map(len, self._lines)) > LARGEST_EVENT:
            raise ValueError("an event that does not end")
        return found
