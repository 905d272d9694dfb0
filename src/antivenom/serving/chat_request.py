"""What a client may ask: an allow-list of fields, turns and values. Everything else is refused by name.

Engines take dozens of fields, and new versions add more; some of them skip the chat template, choose other weights or
begin the answer. No field of a client's request is ever handed on: a request is read into a `ChatRequest`, and the
prompt and every setting an engine gets are made from that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from antivenom.core.intake import strict_json
from antivenom.data.query import Query, Role, Turn
from antivenom.serving.errors import ApiError, refused
from antivenom.serving.parts import content_of

ROLES: dict[str, Role] = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
EMPTY_KEYS = ("name", "refusal", "annotations", "audio", "tool_calls", "function_call", "reasoning_content")
"""What client libraries send back with an assistant's turn; accepted while it holds nothing."""
NEUTRAL: dict[str, tuple[Any, ...]] = {
    "n": (1,),
    "tools": ([],),
    "functions": ([],),
    "tool_choice": ("none", "auto"),
    "function_call": ("none",),
    "parallel_tool_calls": (True, False),
    "response_format": ({"type": "text"},),
    "logit_bias": ({},),
    "modalities": (["text"],),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "reasoning_effort": ("none", "minimal"),
}
"""Fields of OpenAI's that would change what is asked of the model, and the values that change nothing."""
RANGES: dict[str, tuple[float, float]] = {"temperature": (0, 2), "top_p": (0, 1)}
"""Accepted and without effect: answers are the most likely ones, as they were when the guard was measured."""
WITHOUT_EFFECT: dict[str, type | tuple[type, ...]] = {
    "seed": int,
    "user": str,
    "store": bool,
    "metadata": dict,
    "service_tier": str,
    "safety_identifier": str,
    "prompt_cache_key": str,
    "verbosity": str,
}
USED = (
    "model",
    "messages",
    "stream",
    "stream_options",
    "max_tokens",
    "max_completion_tokens",
    "stop",
    "logprobs",
    "top_logprobs",
)
MOST_STOPS, LONGEST_STOP, MOST_TOP_LOGPROBS, LARGEST_ANSWER = 4, 200, 20, 1_000_000


@dataclass(frozen=True)
class Accepts:
    """What a service takes, besides the fields of the schema."""

    model: str
    """The one model there is."""
    labels: bool
    """Whether answers are labels."""
    images: bool = False
    """Whether a turn may hold an image."""
    context: bool = True
    """Whether there may be turns before the last one, a system turn among them."""
    most_turns: int = 200
    """Turns of a conversation."""


@dataclass(frozen=True)
class ChatRequest:
    """A request as far as it counts."""

    query: Query
    """What is asked."""
    stream: bool
    """Whether the answer is to come in pieces."""
    usage: bool
    """Whether a stream is to end with the counts of tokens."""
    longest: int | None
    """The most tokens of the answer that the client wants."""
    stops: tuple[str, ...]
    """Where the client wants free text to end."""
    logprobs: bool
    """Whether probabilities are wanted."""
    top_logprobs: int
    """Of how many labels."""


def read_chat_request(body: bytes, accepts: Accepts) -> ChatRequest:
    """Read the body of `POST /v1/chat/completions`.

    Args:
        body: The bytes of the request.
        accepts: What the service takes.

    Raises:
        ApiError: says which field cannot be taken, and why.
    """
    asked = _json_object(body)
    _require_known(asked)
    _require_model(asked, accepts)
    stream = _flag(asked, "stream")
    logprobs, top = _flag(asked, "logprobs"), _whole(asked, "top_logprobs", 0, MOST_TOP_LOGPROBS)
    if top and not logprobs:
        raise refused("top_logprobs", "needs logprobs = true")
    if logprobs and not accepts.labels:
        raise refused("logprobs", "free answers have none here", code="unsupported_value")
    longest, older = (_whole(asked, name, 1, LARGEST_ANSWER) for name in ("max_completion_tokens", "max_tokens"))
    return ChatRequest(
        query=_query(asked.get("messages"), accepts),
        stream=stream,
        usage=_include_usage(asked, stream),
        longest=older if longest is None else longest,
        stops=_stops(asked.get("stop")),
        logprobs=logprobs,
        top_logprobs=top or 0,
    )


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ApiError(400, f"the body is not UTF-8 (byte {error.start})", code="invalid_json") from None
    asked = strict_json(text, "the body", error=NotJsonError)
    if not isinstance(asked, dict):
        raise ApiError(400, "the body is not a JSON object", code="invalid_json")
    return asked


class NotJsonError(ApiError):
    """A body that no two readers of JSON need to read alike."""

    def __init__(self, what: str, *, mend: str = "") -> None:
        del mend
        super().__init__(400, what, code="invalid_json")


def _require_known(asked: dict[str, Any]) -> None:
    for name, value in asked.items():
        if name in USED or (value is None and (name in NEUTRAL or name in RANGES or name in WITHOUT_EFFECT)):
            continue
        if name in NEUTRAL:
            if not any(type(value) is type(one) and value == one for one in _spellings(NEUTRAL[name])):
                raise refused(name, "this model cannot be asked so", code="unsupported_parameter")
        elif name in RANGES:
            low, high = RANGES[name]
            if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
                raise refused(name, f"expected a number from {low:g} to {high:g}")
        elif name in WITHOUT_EFFECT:
            wanted = WITHOUT_EFFECT[name]
            if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
                raise refused(name, "has another type than OpenAI's field of that name")
        else:
            raise refused(name, "there is no such field here", code="unknown_parameter")


def _spellings(values: tuple[Any, ...]) -> list[Any]:
    """Each value, whole numbers as floating-point ones too."""
    floats = [float(value) for value in values if type(value) is int]
    return [*values, *floats]


def _require_model(asked: dict[str, Any], accepts: Accepts) -> None:
    model = asked.get("model")
    if not isinstance(model, str):
        raise refused("model", "expected the name of the model")
    if model != accepts.model:
        raise ApiError(404, f"there is one model here: {accepts.model}", code="model_not_found", param="model")


def _flag(asked: dict[str, Any], name: str) -> bool:
    value = asked.get(name)
    if value is not None and not isinstance(value, bool):
        raise refused(name, "expected true or false")
    return bool(value)


def _whole(asked: dict[str, Any], name: str, low: int, high: int) -> int | None:
    value = asked.get(name)
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # JSON has one kind of number: 2.0 is 2
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise refused(name, f"expected a whole number from {low} to {high}")
    return value


def _include_usage(asked: dict[str, Any], stream: bool) -> bool:
    options = asked.get("stream_options")
    if options is None:
        return False
    if not stream:
        raise refused("stream_options", "needs stream = true")
    if not isinstance(options, dict) or options.keys() - {"include_usage", "include_obfuscation"}:
        raise refused("stream_options", "expected an object with include_usage")
    return _flag(options, "include_usage")


def _stops(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    stops = [value] if isinstance(value, str) else value
    if not isinstance(stops, list) or len(stops) > MOST_STOPS:
        raise refused("stop", f"expected a string, or a list of at most {MOST_STOPS}")
    if not all(isinstance(stop, str) and 0 < len(stop) <= LONGEST_STOP for stop in stops):
        raise refused("stop", f"expected strings of 1 to {LONGEST_STOP} characters")
    return tuple(stops)


def _query(messages: Any, accepts: Accepts) -> Query:
    if not isinstance(messages, list) or not 0 < len(messages) <= accepts.most_turns:
        raise refused("messages", f"expected a list of 1 to {accepts.most_turns} turns")
    roles = [_role(message, f"messages[{i}]") for i, message in enumerate(messages)]
    if roles[-1] != "user":
        raise refused("messages", "the last turn must be the user's: an answer cannot be begun for the model")
    if "system" in roles[1:]:
        raise refused("messages", "a system turn must be the first, and there can be one")
    if len(roles) > 1 and not accepts.context:
        raise refused(
            "messages", "this model was taught to read one user turn alone; send no system turn and no earlier turns"
        )
    read = [_content(message, i, accepts.images and i == len(messages) - 1) for i, message in enumerate(messages)]
    context = tuple(Turn(role, text) for role, (text, _) in zip(roles[:-1], read[:-1], strict=True))
    text, image = read[-1]
    return Query(text, context, image)


def _content(message: dict[str, Any], number: int, images: bool) -> tuple[str, bytes | None]:
    """A turn; an earlier answer may be empty, as one is that was withheld."""
    empty = message["role"] == "assistant"
    content = message.get("content")
    return content_of(
        "" if empty and content is None else content, f"messages[{number}].content", images=images, empty=empty
    )


def _role(message: Any, where: str) -> Role:
    if not isinstance(message, dict):
        raise refused(where, "expected an object with role and content")
    for name, value in message.items():
        if name not in ("role", "content") and (name not in EMPTY_KEYS or value):
            raise refused(f"{where}.{name}", "cannot be taken here", code="unsupported_parameter")
    role = message.get("role")
    if not isinstance(role, str) or role not in ROLES:
        raise refused(f"{where}.role", f"expected one of {', '.join(ROLES)}")
    return ROLES[role]
