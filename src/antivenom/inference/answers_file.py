"""Answers to many queries in a file that grows: a run that was killed goes on where it stopped."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol

from antivenom.core.errors import AntivenomError, ArtifactError
from antivenom.core.files import append_from, make_folder, write_json
from antivenom.core.intake import open_regular, read_json, strict_json
from antivenom.core.locks import locked
from antivenom.data.query import Asked, Query, as_query


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

    Beside the file stands `NAME.run.json` with the settings. A call with the same settings keeps the lines that answer
    their queries, from the first to the last before one that is lost, doubled, broken or about something else, and
    answers the rest. Both can be read by their owner alone, since they quote the queries.

    Args:
        model: A guarded model.
        asked: The queries, in the same order each time.
        out: The file.
        settings: Everything that decides the answers: artifact, source, options.
        progress: What a progress bar is to be called; none is shown without it.

    Returns:
        How many answers the file holds.

    Raises:
        ArtifactError: the file is there and was made with other settings, or by somebody else, or another process
            writes it.
    """
    make_folder(out.parent)
    with locked(out, "predict"):
        _require_ours(out, settings)
        queries = map(as_query, asked)
        done, whole, waiting = _answered(out, queries)
        remaining = itertools.chain(waiting, queries)
        with append_from(out, whole, private=True) as file:
            for query, answer in model.predict_stream(remaining, progress=progress):
                done += 1
                line = {"row": done, **_content(as_query(query)), **answer.to_dict()}
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
                file.flush()
    return done


def _require_ours(out: Path, settings: dict[str, Any]) -> None:
    """Note the settings of a new file; refuse one that is there and was not made with them."""
    note = note_of(out)
    wanted = {"antivenom": "answers", **json.loads(json.dumps(settings))}
    found = read_note(note)
    if out.exists() and found != wanted:
        raise ArtifactError(
            f"{out} exists and was not made with these settings", mend="Choose another --out; nothing is overwritten."
        )
    if note.exists() and found.get("antivenom") != "answers":
        raise ArtifactError(f"{note} exists and is not ours", mend="Choose another --out; nothing is overwritten.")
    if found != wanted:
        write_json(note, wanted, private=True)


def note_of(out: Path) -> Path:
    """The file beside `out` that says what decided its answers."""
    return out.with_name(f"{out.name}.run.json")


def read_note(note: Path) -> dict[str, Any]:
    """What such a file says; nothing where it cannot be read."""
    try:
        found = read_json(note)
    except AntivenomError:
        return {}
    return found if isinstance(found, dict) else {}


def _answered(out: Path, queries: Iterator[Query]) -> tuple[int, int, list[Query]]:
    """How many of the first queries are answered, how many bytes that takes, and the query that was taken too far."""
    count = whole = 0
    if not out.exists():
        return 0, 0, []
    with open_regular(out, error=ArtifactError) as file:
        for line in file:
            query = next(queries, None)
            if query is None:
                break  # more answers than queries: what is too much is cut off
            if not _answers(line, count + 1, query):
                return count, whole, [query]
            count, whole = count + 1, whole + len(line)
    return count, whole, []


def _answers(line: bytes, row: int, query: Query) -> bool:
    """Whether a line is whole, and the answer to this query."""
    try:
        found = strict_json(line.decode(), "line") if line.endswith(b"\n") else None
    except (UnicodeDecodeError, AntivenomError):
        return False
    wanted = {"row": row, **_content(query)}
    return isinstance(found, dict) and found.items() >= wanted.items() and len(found) > len(wanted)


def _content(query: Query) -> dict[str, str]:
    """What a line says about its query; context and image by their digest, where there are any."""
    content = {"text": query.text}
    if query.context or query.image:
        turns = [[turn.role, turn.content] for turn in query.context]
        content["asked_sha256"] = sha256(json.dumps(turns).encode() + (query.image or b"")).hexdigest()
    return content
