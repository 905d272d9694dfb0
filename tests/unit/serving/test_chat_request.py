"""The schema: what is read out of a request, and what is refused by name."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from serving_scenes import guard_of

from antivenom.data.query import Query, Turn
from antivenom.guards.encoding import TextEncoder, make_encoder
from antivenom.serving.chat_request import Accepts, read_chat_request
from antivenom.serving.errors import ApiError
from antivenom.serving.prompting import Prompting
from antivenom.tasks.generation import Generation
from antivenom.tasks.task import Frame

TEXT, LABELS = Accepts("safe", labels=False), Accepts("safe", labels=True, context=False)
USER = {"role": "user", "content": "hi"}


def read(accepts=TEXT, **fields):
    return read_chat_request(json.dumps({"model": "safe", "messages": [USER], **fields}).encode(), accepts)


def test_a_conversation_is_read():
    asked = read(
        messages=[
            {"role": "developer", "content": "Be kind"},
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            {"role": "assistant", "content": "c", "refusal": None, "tool_calls": []},
            {"role": "user", "content": "d"},
        ],
        stream=True,
        stream_options={"include_usage": True},
        max_completion_tokens=7,
        stop="x",
        temperature=0.7,
        seed=1,
    )
    turns = (Turn("system", "Be kind"), Turn("user", "a\nb"), Turn("assistant", "c"))
    assert asked.query == Query("d", turns)
    assert (asked.stream, asked.usage, asked.longest, asked.stops) == (True, True, 7, ("x",))


def test_a_whole_number_may_be_spelled_with_a_point():
    assert read(max_tokens=7.0).longest == 7


def test_the_older_field_is_checked_where_the_newer_one_counts():
    assert read(max_completion_tokens=7, max_tokens=9).longest == 7
    with pytest.raises(ApiError, match="max_tokens"):
        read(max_completion_tokens=7, max_tokens=0)


def test_an_image_comes_with_the_request_or_not_at_all():
    part = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{base64.b64encode(b'png').decode()}"}}
    message = {"role": "user", "content": [{"type": "text", "text": "what?"}, part]}
    images = Accepts("safe", labels=True, images=True)
    assert read(images, messages=[message]).query == Query("what?", (), b"png")
    with pytest.raises(ApiError):
        read(messages=[message])
    for url in ("http://127.0.0.1/a.png", "file:///etc/passwd", "data:image/svg+xml;base64,PHN2Zz4=", "data:,x", 5):
        part["image_url"] = {"url": url}
        with pytest.raises(ApiError):
            read(images, messages=[message])


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": 5}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": [USER] * 201}, "messages"),
        ({"messages": ["hi"]}, "messages[0]"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": "  "}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": None}]}, "messages[0].content"),
        ({"messages": [USER, {"role": "system", "content": "x"}, USER]}, "messages"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"stop": [""]}, "stop"),
        ({"stop": ["a"] * 5}, "stop"),
        ({"temperature": 3}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"seed": "1"}, "seed"),
        ({"logprobs": True}, "logprobs"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"n": 2}, "n"),
    ],
)
def test_a_wrong_field_is_named(fields, param):
    with pytest.raises(ApiError) as caught:
        read(**fields)
    assert caught.value.status == 400
    assert caught.value.body()["error"]["param"] == param


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'{"model": NaN}', b"[" * 100_000, b'{"a":1,"a":2}'])
def test_what_is_no_plain_json_is_refused(body):
    with pytest.raises(ApiError) as caught:
        read_chat_request(body, TEXT)
    assert (caught.value.status, caught.value.code) == (400, "invalid_json")


def test_labels_take_one_turn_unless_the_service_says_so():
    with pytest.raises(ApiError):
        read(LABELS, messages=[{"role": "system", "content": "x"}, USER])
    assert read(LABELS, logprobs=True, top_logprobs=2).top_logprobs == 2


@pytest.mark.parametrize("content", ["", None])
def test_an_earlier_answer_may_be_empty_and_a_question_may_not(content):
    empty = {"role": "assistant", "content": content}
    assert read(messages=[USER, empty, USER]).query.context[-1] == Turn("assistant", "")
    for messages in ([USER, empty, {**USER, "content": content}], [{**USER, "content": content}, empty, USER]):
        with pytest.raises(ApiError, match="content"):
            read(messages=messages)


def prompting(tokenizer, instruction=""):
    """For a model that reads 128 tokens."""
    frame = Frame(instruction, style="chat", max_tokens=128)
    return Prompting(make_encoder(guard_of(Generation(frame=frame)), tokenizer))


@pytest.mark.parametrize(
    ("instruction", "query"),
    [
        ("7" * 60, Query("9" * 50)),
        ("", Query("on", (Turn("user", "a"), Turn("assistant", "b")) * 10)),
    ],
    ids=["a long instruction", "many short turns"],
)
def test_what_fits_by_itself_and_not_in_its_prompt_is_refused(tokenizer, instruction, query):
    found = prompting(tokenizer, instruction)
    assert replace(found, cut=True).count(query) < 64
    assert prompting(tokenizer).count(Query("9" * 50)) == 50
    with pytest.raises(ApiError) as caught:
        found.count(query)
    assert (caught.value.status, caught.value.code) == (400, "context_length_exceeded")


def test_a_text_is_rendered_to_be_counted_only_where_it_may_be_too_long(tokenizer, monkeypatch):
    found, rendered, served = prompting(tokenizer), [], TextEncoder.served
    monkeypatch.setattr(TextEncoder, "served", lambda self, asked: (rendered.extend(asked), served(self, asked))[1])
    short = [Query("a warm film"), Query("another one")]
    for query in short:
        found.count(query)
    assert not set(short) & set(rendered)
    frame = len(rendered)
    assert frame <= 1
    close, beyond = Query("9" * 80), Query("9" * 200)
    found.count(close)
    with pytest.raises(ApiError):
        found.count(beyond)
    assert rendered[frame:] == [close]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = [
    "messages",
    "stream",
    "stop",
    "n",
    "tools",
    "logit_bias",
    "stream_options",
    "metadata",
    "seed",
    "response_format",
]


@given(st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=8), json_values, max_size=4))
def test_any_json_is_read_or_refused_in_openais_shape(fields):
    error = None
    try:
        assert read(**fields).query.text
    except ApiError as caught:
        error = caught
    assert error is None or (400 <= error.status < 500 and json.dumps(error.body()))
