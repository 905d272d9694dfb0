"""The shapes that rows with free answers come in: what each record asks, what is answered, and what stands before.

`system` and `history` beside a text become turns; a row with what no text can hold (calls of tools, thoughts of a
model, images) is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from antivenom.data.cleaning import Refused, as_text
from antivenom.data.columns import ANSWER_COLUMNS, TEXT_COLUMNS, find_column
from antivenom.data.query import Turn, is_empty, read_turns

SHAREGPT_ROLES = {"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "system": "system"}

LOST_BESIDE = (
    "tools", "functions", "image", "images", "video", "videos", "audio", "audios", "documents", "tool_calls",
    "reasoning", "reasoning_content", "thinking", "context",
)  # fmt: skip
"""Columns that change what a row asks or answers and that no text can hold; rows where one says something are refused.

Whoever names the columns of text and answer leaves them out knowingly."""
READ_BESIDE = ("system", "history")
"""Columns that become turns in front of the text."""

Reader = Callable[[Mapping[str, Any]], "Dialog | Refused"]


@dataclass(frozen=True)
class Dialog:
    """What one record says."""

    text: Any
    """The last thing the user says."""
    answer: Any
    """What is answered; None where a record only asks."""
    context: tuple[Turn, ...] = ()
    """The turns before."""


@dataclass(frozen=True)
class Shape:
    """How a source spells its rows."""

    name: str
    columns: tuple[str, ...]
    """The columns that `read` looks at."""
    read: Reader
    asks: str = ""
    """The column of the text, where one holds it as it is."""
    says: str = ""
    """The column of the answer, likewise."""


def recognize(columns: Sequence[str], text: str | None, answer: str | None, *, answered: bool = True) -> Shape:
    """Find out how a source with these columns spells its rows.

    Args:
        columns: The columns.
        text: The column of the text, if the user named one.
        answer: The column of the answer, if the user named one.
        answered: Whether rows must have answers.

    Raises:
        RowsError: there is no shape for them.
    """
    there = set(columns)
    if text is not None or answer is not None:
        return _two_columns(columns, text, answer, answered)
    shape = _named_shape(there, answered)
    if shape is None:
        asked = "question" in there and ("answer" in there or not answered)
        names = ("question", "answer" if answered else None) if asked else (None, None)
        shape = _two_columns(columns, names[0], names[1], answered)
    beside = [name for name in (*LOST_BESIDE, *READ_BESIDE) if name in there and name not in shape.columns]
    return replace(shape, columns=(*shape.columns, *beside), read=partial(_with_surroundings, shape))


def _named_shape(there: set[str], answered: bool) -> Shape | None:
    """The shape whose column names give it away."""
    if "messages" in there:
        return Shape("messages", ("messages",), lambda r: _of_messages(r.get("messages"), answered))
    if "conversations" in there:
        return Shape(
            "conversations", ("conversations",), lambda r: _of_messages(_sharegpt(r.get("conversations")), answered)
        )
    if "prompt" in there and ("completion" in there or not answered):
        return Shape("prompt", tuple({"prompt", "completion"} & there), _of_prompt)
    for answer, given in (("output", "input"), ("response", "context")):
        if "instruction" in there and (answer in there or (not answered and given in there)):
            columns = tuple({"instruction", given, answer} & there)
            return Shape("instruction", columns, partial(_of_instruction, given=given, answer=answer))
    if "instruction" in there and not answered:
        return Shape("instruction", ("instruction",), partial(_of_instruction, given="input", answer="output"))
    return None


def _two_columns(columns: Sequence[str], text: str | None, answer: str | None, answered: bool) -> Shape:
    asks = find_column(columns, text, TEXT_COLUMNS, "text")
    if not answered:
        return Shape("text", (asks,), lambda record: Dialog(record.get(asks), None), asks)
    says = find_column([name for name in columns if name != asks], answer, ANSWER_COLUMNS, "label")
    return Shape("columns", (asks, says), lambda record: Dialog(record.get(asks), record.get(says)), asks, says)


def _with_surroundings(shape: Shape, record: Mapping[str, Any]) -> Dialog | Refused:
    """What a record says together with the system prompt and the history in columns beside it."""
    for name in LOST_BESIDE:
        if name not in shape.columns and not is_empty(record.get(name)):
            return Refused(f"the column {name!r}, which cannot be kept, beside the")
    read = shape.read(record)
    if isinstance(read, Refused):
        return read
    # A line of JSON may be the first that has the key, so the record is asked, not the columns.
    system = None if "system" in shape.columns or is_empty(record.get("system")) else record.get("system")
    history = [] if "history" in shape.columns else _history(record.get("history"))
    if isinstance(history, Refused):
        return history
    if system is not None and not isinstance(system, str):
        return Refused(f"{type(system).__name__} instead of a string as system prompt of the")
    begun = [turn.role for turn in (*history, *read.context)]
    if "system" in begun[1:] or (system is not None and "system" in begun):
        return Refused("two system prompts, or one that is not the first turn, in front of the")
    first = () if system is None else (Turn("system", system),)
    return replace(read, context=(*first, *history, *read.context))


def _history(value: object) -> Sequence[Turn] | Refused:
    """Alpaca's history, pairs of what was asked and answered, or a list of turns."""
    if is_empty(value):
        return ()
    if isinstance(value, list) and all(isinstance(pair, list) and len(pair) == 2 for pair in value):
        value = [
            {"role": role, "content": said}
            for pair in value
            for role, said in zip(("user", "assistant"), pair, strict=True)
        ]
    turns = read_turns(value)
    return Refused(f"{turns} history in front of the") if isinstance(turns, str) else turns


def _of_messages(value: object, answered: bool = True) -> Dialog | Refused:
    """The last assistant turn is the answer, the user turn before it the text."""
    value = _texts_alone(value)
    if isinstance(value, Refused):
        return value
    turns = read_turns(value)
    if isinstance(turns, str):
        return Refused(turns)
    if turns and turns[-1].role == "assistant":
        *before, last = turns
        answer = last.content
    elif answered:
        return Refused("conversation that does not end in an assistant turn as")
    else:
        before, answer = list(turns), ""
    if not before or before[-1].role != "user":
        return Refused("conversation without a user turn in front of the answer as")
    return Dialog(before[-1].content, answer, tuple(before[:-1]))


def _of_prompt(record: Mapping[str, Any]) -> Dialog | Refused:
    """Prompt and completion: two strings, or two lists of messages."""
    prompt, completion = record.get("prompt"), record.get("completion")
    if not isinstance(prompt, list):
        return Dialog(prompt, completion)
    if isinstance(completion, list):
        return _of_messages([*prompt, *completion])
    asked = _of_messages(prompt, answered=False)
    return asked if isinstance(asked, Refused) else Dialog(asked.text, completion, asked.context)


def _of_instruction(record: Mapping[str, Any], *, given: str, answer: str) -> Dialog | Refused:
    """What is given (Alpaca's input, Dolly's context) stands behind the instruction, a blank line between them."""
    instruction, more = as_text(record.get("instruction")), record.get(given)
    if isinstance(instruction, Refused):
        return instruction
    if more is None or (isinstance(more, str) and not more.strip()):
        return Dialog(instruction, record.get(answer))
    more = as_text(more)
    return more if isinstance(more, Refused) else Dialog(f"{instruction}\n\n{more}", record.get(answer))


def _sharegpt(value: object) -> object:
    """ShareGPT's turns with the usual keys, others kept; what is no turn stays as it is and is refused later."""
    if not isinstance(value, list):
        return value
    return [
        {**turn, "role": SHAREGPT_ROLES.get(str(turn["from"])), "content": turn.get("value")}
        if isinstance(turn, Mapping) and "from" in turn
        else turn
        for turn in value
    ]


def _texts_alone(value: object) -> object:
    """Messages whose content is a list of text parts, with the parts joined; refused if a part is no text."""
    if not isinstance(value, list):
        return value
    joined = []
    for turn in value:
        content = turn.get("content") if isinstance(turn, Mapping) else None
        if isinstance(content, list):
            texts = [
                part.get("text") if isinstance(part, Mapping) and part.get("type") == "text" else part
                for part in content
            ]
            if not all(isinstance(one, str) for one in texts):
                return Refused("part of a turn that is no text (an image, a call), which cannot be kept, in the")
            turn = {**turn, "content": "\n".join(map(str, texts))}
        joined.append(turn)
    return joined
