"""Answers to many queries in a file that grows: a run that was killed goes on where it stopped."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

from antivenom.core.errors import ArtifactError
from antivenom.core.files import write_json
from antivenom.data.query import Asked, as_query


class Answer(Protocol):
    """A reading of either kind."""

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        ...


class Answering(Protocol):
    """A guarded model of either kind."""

    def predict_stream(
        self, asked: Iterable[Asked], *, progress: str | None = None, total: int | None = None
    ) -> Iterator[tuple[Asked, Answer]]:
        """Answer in order."""
        ...


def answer_to_file(
    model: Answering, asked: Iterable[Asked], out: Path, *, settings: dict[str, Any], progress: str | None = None
) -> int:
    """Append one JSON line per query (`row` from 1, `text` and the reading) until all are answered.

    Beside the file stands `NAME.run.json` with the settings. A call with the same settings goes on behind the last
    whole line, so that a killed run loses what it was answering and nothing else.

    Args:
        model: A guarded model.
        asked: The queries, in the same order each time.
        out: The file.
        settings: Everything that decides the answers: artifact, source, options.
        progress: What a progress bar is to be called; none is shown without it.

    Returns:
        How many answers the file holds.

    Raises:
        ArtifactError: the file is there and was made with other settings, or by somebody else.
    """
    done = _resume(out, settings)
    remaining = itertools.islice(iter(asked), done, None)
    with out.open("a", encoding="utf-8") as file:
        for query, answer in model.predict_stream(remaining, progress=progress):
            done += 1
            line = {"row": done, "text": as_query(query).text, **answer.to_dict()}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
            file.flush()
    return done


def _resume(out: Path, settings: dict[str, Any]) -> int:
    """Whole lines that are already there; half a line behind them is removed."""
    note = out.with_name(f"{out.name}.run.json")
    if not out.exists():
        write_json(note, settings)
        return 0
    try:
        same = json.loads(note.read_text(encoding="utf-8")) == json.loads(json.dumps(settings))
    except (OSError, ValueError):
        same = False
    if not same:
        raise ArtifactError(
            f"{out} exists and was not made with these settings", mend="Choose another --out; nothing is overwritten."
        )
    with out.open("rb+") as file:
        whole = lines = 0
        for line in file:
            if not line.endswith(b"\n"):
                break
            whole, lines = whole + len(line), lines + 1
        file.truncate(whole)
    return lines
