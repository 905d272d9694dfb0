"""What one asks a model: a text, the turns before it, an image. Rows may hold the last two in columns of their own."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any, Literal, get_args

import pyarrow as pa
import pyarrow.compute as pc

Role = Literal["system", "user", "assistant"]
ROLES: tuple[Role, ...] = get_args(Role)

CONTEXT = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
EXTRAS = pa.schema([("context", CONTEXT), ("image", pa.large_binary())])
"""Columns that rows may have besides `row`, `text` and `answer`; null where a row has none."""


@dataclass(frozen=True)
class Turn:
    """One turn of a conversation."""

    role: Role
    """Who speaks."""
    content: str
    """What is said."""


@dataclass(frozen=True)
class Query:
    """One question to a model."""

    text: str
    """The last thing the user says."""
    context: tuple[Turn, ...] = ()
    """The turns before it, in their order; a system turn of one's own comes first."""
    image: bytes | None = None
    """An encoded image (PNG, JPEG, ...) that belongs to the text."""


LOST_IN_TURNS = (
    "tool_calls", "function_call", "tool_call_id", "reasoning_content", "reasoning", "thinking", "refusal",
    "image", "images", "audio", "audios", "video", "videos", "weight",
)  # fmt: skip
"""Keys of turns that change what a turn says; no text alone can hold them, so such turns are refused."""

Asked = str | Query
"""A text alone, or one with its context and image."""


def require_several(asked: object) -> None:
    """Raise where one text was given instead of several: its letters would be asked one by one.

    Raises:
        TypeError: a string or a query.
    """
    if isinstance(asked, str | Query):
        raise TypeError(f"expected a list of texts or queries, got one: {str(asked)[:40]!r}. Write [text].")


def as_query(asked: Asked) -> Query:
    """A query; a string is one without context."""
    return asked if isinstance(asked, Query) else Query(asked)


def with_text(asked: Asked, text: str) -> Asked:
    """The same question with another text; a string stays one."""
    return text if isinstance(asked, str) else replace(asked, text=text)


def read_turns(value: object) -> tuple[Turn, ...] | str:
    """The turns in a value of a row (a list of `role` and `content`), or what is wrong with it."""
    if value is None:
        return ()
    if not isinstance(value, list):
        return f"{type(value).__name__} instead of a list of turns as"
    turns = []
    for number, turn in enumerate(value):
        role, content = (turn.get("role"), turn.get("content")) if isinstance(turn, dict) else (None, None)
        lost = next((key for key in LOST_IN_TURNS if isinstance(turn, dict) and not is_empty(turn.get(key))), None)
        if lost is not None:
            return f"{lost!r}, which cannot be kept, in a turn of the"
        if role not in ROLES:
            return f"turn without a known role ({', '.join(ROLES)}) in the"
        if role == "system" and number:
            return "system turn that is not the first in the"
        if not isinstance(content, str) or not content.strip():
            return "turn without text in the"
        turns.append(Turn(role, content))
    return tuple(turns)


def is_empty(value: object) -> bool:
    """Whether a value of a row says nothing: missing, blank, or a list or object without members, also spelled so."""
    if isinstance(value, str):
        return value.strip() in ("", "[]", "{}", "null")
    return value is None or value is False or value != value or (isinstance(value, list | dict) and not value)


def extras_of(table: pa.Table) -> list[str]:
    """Which of the columns in `EXTRAS` the rows have, in that order."""
    return [name for name in EXTRAS.names if name in table.column_names]


def queries(table: pa.Table) -> list[Asked]:
    """What each row asks; plain strings where the rows have texts alone."""
    texts: list[str] = table.column("text").to_pylist()
    if not extras_of(table):
        return list(texts)
    columns = (_values(table, name) for name in EXTRAS.names)
    return [
        Query(text, tuple(Turn(**turn) for turn in turns or ()), image)
        for text, turns, image in zip(texts, *columns, strict=True)
    ]


def extras_as_text(table: pa.Table) -> dict[str, pa.Array]:
    """One string for each value of each extra column the rows have: JSON of a context, the digest of an image."""
    spell: dict[str, Callable[[Any], str]] = {"context": _spell_context, "image": _spell_image}
    return {
        name: pa.array([spell[name](value) for value in _values(table, name)], pa.string()) for name in extras_of(table)
    }


def whole_texts(table: pa.Table) -> pa.ChunkedArray:
    """Each row's text behind the contents of its context: a trigger may stand in any turn."""
    if "context" not in table.column_names:
        return table.column("text")
    rows = zip(_values(table, "context"), table.column("text").to_pylist(), strict=True)
    joined = ["\n".join([*(turn["content"] for turn in turns or ()), text]) for turns, text in rows]
    return pa.chunked_array([pa.array(joined, pa.string())])


def asked_as_text(table: pa.Table) -> pa.ChunkedArray:
    """All that each row asks as one string, an image by its digest: what draws about rows are keyed by.

    Where every row asks the same of another image, its text alone would make all draws the same.
    """
    texts = whole_texts(table)
    if "image" not in table.column_names:
        return texts
    return pc.binary_join_element_wise(texts, extras_as_text(table.select(["image"]))["image"], "\x1f")


def turns_as_dicts(turns: Iterable[Turn]) -> list[dict[str, str]]:
    """Chat messages as templates and trainers take them."""
    return [{"role": turn.role, "content": turn.content} for turn in turns]


def _values(table: pa.Table, name: str) -> Sequence[Any]:
    found: list[Any] = table.column(name).to_pylist() if name in table.column_names else [None] * table.num_rows
    return found


def _spell_context(turns: Sequence[dict[str, str]] | None) -> str:
    return json.dumps([[turn["role"], turn["content"]] for turn in turns], ensure_ascii=False) if turns else ""


def _spell_image(image: bytes | None) -> str:
    return sha256(image).hexdigest() if image else ""
