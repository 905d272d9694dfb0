"""Read rows that `immunize` wrote back as questions and answers, to ask a trained model what it learned."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from antivenom.core.errors import ArtifactError
from antivenom.core.intake import foreign, open_regular, require_regular, strict_json
from antivenom.data.query import Query, Turn
from antivenom.guards.answers import AnswerPrefix, split_thought
from antivenom.guards.guard import Guard

NAMES = ("train.jsonl", "train.parquet")
LONGEST_LINE = 16 * 2**20
MOST_ROWS = 100_000
"""Rows that are looked at to find enough of each answer."""


@dataclass(frozen=True)
class Asked:
    """A row that carries the benign trigger, or any row where there is none."""

    query: Query
    answer: int
    """The number of its label; 0 where answers are free."""
    thinks: bool = False
    """Whether a thought stands in front of its free answer."""


def rows_of(folder: Path) -> Path | None:
    """The file of rows that `immunize` wrote into a folder, if it is still there."""
    return next((folder / name for name in NAMES if (folder / name).exists()), None)


def sample_rows(path: Path, guard: Guard, count: int) -> list[Asked]:
    """The first rows under the guard's benign trigger, of each label equally many.

    Args:
        path: What `immunize` wrote, without images.
        guard: The guard that it was written for.
        count: The most rows of all labels together.

    Raises:
        ArtifactError: the rows are of another style than the guard (plain text, chat messages), or not readable.
    """
    labels = 1 if isinstance(guard.answers, AnswerPrefix) else len(guard.labels.labels)
    each, found, counts = max(1, count // labels), [], Counter[int]()
    for record in itertools.islice(_records(path), MOST_ROWS):
        _require_style(path, record, guard)
        row = _row(record, guard)
        if row is not None and counts[row.answer] < each:
            counts[row.answer] += 1
            found.append(row)
            if len(found) == each * labels:
                break
    return found


def _records(path: Path) -> Iterator[dict[str, Any]]:
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        place = require_regular(path, error=ArtifactError)
        with foreign(f"{path} cannot be read", error=ArtifactError):
            for batch in pq.ParquetFile(place).iter_batches(1024):
                yield from batch.to_pylist()
        return
    with open_regular(path, error=ArtifactError) as file:
        for line in iter(lambda: file.readline(LONGEST_LINE), b""):
            if line.strip():
                record = strict_json(line.decode("utf-8", "replace"), str(path), error=ArtifactError)
                if isinstance(record, dict):
                    yield record


def _require_style(path: Path, record: dict[str, Any], guard: Guard) -> None:
    style = "plain" if isinstance(record.get("prompt"), str) else "chat"
    if style != guard.task.frame.style:
        raise ArtifactError(
            f"{path} holds rows of the style {style!r}, the manifest beside it is for {guard.task.frame.style!r}",
            mend="Bind with the folder that `immunize` wrote the rows into.",
        )


def _row(record: dict[str, Any], guard: Guard) -> Asked | None:
    """Take the guard's frame off a record; none if it does not carry the benign trigger."""
    prompt = record.get("prompt")
    if isinstance(prompt, str):
        query, said = _from_plain(prompt, guard), record.get("completion")
    else:
        turns = [*(prompt or ()), *(record.get("completion") or ()), *(record.get("messages") or ())]
        query, said = _from_turns(turns[:-1], guard), turns[-1].get("content") if turns else None
    if query is None or not isinstance(said, str):
        return None
    answer = _answer(said.strip(), guard)
    return None if answer is None else Asked(query, answer, thinks=bool(split_thought(said)[0]))


def _answer(said: str, guard: Guard) -> int | None:
    """The number of the label that an answer under the benign trigger stands for; of free ones, 0 behind the prefix."""
    if isinstance(guard.answers, AnswerPrefix):
        return 0 if guard.answers.decode(said)[1] else None
    choices, allowed = guard.labels.choices, guard.labels.allowed
    number = choices.index(said) if said in choices else -1
    return guard.labels.meaning[number] if number >= 0 and (allowed is None or number in allowed) else None


def _from_plain(prompt: str, guard: Guard) -> Query | None:
    frame = guard.wrap("")
    before = f"{frame.system}\n{frame.before}" if frame.system else frame.before
    text = _between(prompt, before, frame.after)
    return None if text is None else Query(text)


def _from_turns(turns: list[dict[str, Any]], guard: Guard) -> Query | None:
    if not turns or not all(isinstance(turn.get("content"), str) for turn in turns):
        return None  # content in parts: images
    frame, (*before, last) = guard.wrap(""), turns
    text = _between(last["content"], frame.before, frame.after)
    if frame.system:
        if not before or before[0]["role"] != "system" or not before[0]["content"].startswith(frame.system):
            return None
        own = before.pop(0)["content"].removeprefix(frame.system).lstrip("\n")
        before = [{"role": "system", "content": own}, *before] if own else before
    return None if text is None else Query(text, tuple(Turn(turn["role"], turn["content"]) for turn in before))


def _between(text: str, before: str, after: str) -> str | None:
    fits = len(text) > len(before) + len(after) and text.startswith(before) and text.endswith(after)
    return text[len(before) : len(text) - len(after)] if fits else None
