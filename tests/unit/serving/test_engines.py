"""What each engine is asked, and what is made of its answers; the engine is a script."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import httpx2
import numpy as np
import pytest
from serving_scenes import LABELS, PREFIX, TEXT, FakeEngine, guard_of
from template_scenes import TOKENIZERS

from antivenom.data.query import Query
from antivenom.guards.encoding import make_encoder
from antivenom.serving.engines import ENGINES
from antivenom.serving.errors import ApiError
from antivenom.serving.middleware import AppTransport
from antivenom.serving.spelling import Choices
from antivenom.serving.upstream import Link, UpstreamBackend


def backend_of(task, tokenizer, name, answer):
    engine = FakeEngine(answer)
    encoder = make_encoder(guard_of(task), tokenizer)
    client = httpx2.AsyncClient(transport=AppTransport(engine), base_url="http://engine")
    return UpstreamBackend(encoder, Link(client, ENGINES[name], "m")), engine


def logs_for(encoder, name, likely):
    """An engine that names probabilities: `likely` gives each of the choices' tokens one, or none."""
    choices = Choices(encoder)

    def answer(body):
        if "logprobs" not in body:
            return {"choices": [{"text": choices.words[encoder.guard.labels.allowed[1]], "finish_reason": "stop"}]}
        prompt = body["prompt"]
        nodes = (
            n for n in reversed(choices.inner) if not n or (isinstance(prompt, list) and tuple(prompt[-len(n) :]) == n)
        )
        tokens = choices.next_tokens(next(nodes, ()))
        named = {f"token_id:{t}" if name == "vllm" else w: likely for t, w in tokens.items()} if likely else {"x": -0.1}
        return {"choices": [{"text": "x", "logprobs": {"top_logprobs": [named]}, "finish_reason": "length"}]}

    return answer


@pytest.mark.parametrize(
    ("name", "field"), [("vllm", "structured_outputs"), ("sglang", "regex"), ("llamacpp", "grammar")]
)
def test_a_label_is_restricted_where_no_guarded_one_is_likely(tokenizer, name, field):
    encoder = make_encoder(guard_of(LABELS), tokenizer)
    backend, engine = backend_of(LABELS, tokenizer, name, logs_for(encoder, name, None))
    answer = asyncio.run(backend.label(Query("a film")))
    assert (answer.label, answer.inside) == ("positive", False)
    assert answer.escape == pytest.approx(1.0)
    restricted = [body for body in engine.bodies if field in body]
    assert len(restricted) == 1
    words = [Choices(encoder).words[c] for c in encoder.guard.labels.allowed]
    assert all(json.dumps(word)[1:-1].strip() in json.dumps(restricted[0][field]) for word in words)


def test_probabilities_are_those_the_engine_names(tokenizer):
    encoder = make_encoder(guard_of(LABELS), tokenizer)
    backend, engine = backend_of(LABELS, tokenizer, "vllm", logs_for(encoder, "vllm", -1.5))
    answer = asyncio.run(backend.label(Query("a film")))
    deep = [len(encoder.choices[c]) for c in encoder.guard.labels.allowed]
    assert [log for _, log in answer.logs] == pytest.approx([-1.5 * size for size in deep])
    assert answer.escape == pytest.approx(1 - np.exp([-1.5 * size for size in deep]).sum())
    assert [body["prompt"] for body in engine.bodies] == [
        [*encoder.serving(["a film"])[0], *node] for node in Choices(encoder).inner
    ]


def test_llama_server_names_tokens_by_their_ids(tokenizer):
    encoder = make_encoder(guard_of(LABELS), tokenizer)
    nodes = iter(Choices(encoder).inner)

    def answer(body):
        tokens = Choices(encoder).next_tokens(next(nodes))
        named = [{"id": token, "token": "?", "logprob": -1.5} for token in tokens]
        return {"choices": [{"text": "x", "logprobs": {"content": [{"top_logprobs": named}]}}]}

    backend, _ = backend_of(LABELS, tokenizer, "llamacpp", answer)
    found = asyncio.run(backend.label(Query("a film")))
    deep = [len(encoder.choices[c]) for c in encoder.guard.labels.allowed]
    assert [log for _, log in found.logs] == pytest.approx([-1.5 * size for size in deep])


def test_an_engine_without_probabilities_is_asked_freely_first(tokenizer):
    encoder = make_encoder(guard_of(LABELS), tokenizer)
    choices = Choices(encoder)
    word = choices.words[encoder.guard.labels.allowed[0]]
    backend, engine = backend_of(LABELS, tokenizer, "transformers", lambda body: {"choices": [{"text": word}]})
    answer = asyncio.run(backend.label(Query("a film")))
    assert (answer.label, answer.inside, answer.logs) == ("negative", True, ())
    assert len(engine.bodies) == 1

    def stubborn(body):
        return {"choices": [{"text": "evil"}]}

    backend, engine = backend_of(LABELS, tokenizer, "transformers", stubborn)
    with pytest.raises(ApiError) as caught:
        asyncio.run(backend.label(Query("a film")))
    assert caught.value.code == "restriction_ignored"
    assert "sequence_bias" in engine.bodies[1]["generation_config"]


@pytest.mark.parametrize("said", [{}, {"choices": []}, {"choices": [5]}, {"choices": [{"text": "x"}]}])
def test_what_an_engine_says_beside_the_point_is_its_own_error(tokenizer, said):
    backend, _ = backend_of(LABELS, tokenizer, "vllm", lambda body: said)
    with pytest.raises(ApiError) as caught:
        asyncio.run(backend.label(Query("a film")))
    assert caught.value.status == 502


def written(backend, **options):
    async def collect():
        return [piece async for piece in backend.write(Query("six by nine?"), **options)]

    return asyncio.run(collect())


def test_text_streams_out_of_the_engine(tokenizer):
    backend, engine = backend_of(TEXT, tokenizer, "vllm", lambda body: {"pieces": [PREFIX, " 4", "2é"]})
    pieces = written(backend, longest=3, said=False)
    assert "".join(piece.text for piece in pieces) == f"{PREFIX} 42é"
    assert pieces[-1].finished is True
    prefix = len(tokenizer(PREFIX, add_special_tokens=False)["input_ids"])
    assert engine.bodies[0]["max_tokens"] == min(40, 3 + prefix)
    written(backend, longest=None, said=True)
    assert engine.bodies[1]["prompt"] == backend._encoder.prefilled([Query("six by nine?")])[0]
    assert engine.bodies[1]["max_tokens"] == 40


def test_the_opening_of_a_thought_comes_with_the_engines_first_piece():
    task = replace(TEXT, frame=replace(TEXT.frame, thinking="open"))
    said = ["two twos\n</think>\n\n", f"{PREFIX} 4"]
    backend, _ = backend_of(task, TOKENIZERS["open thought"], "vllm", lambda body: {"pieces": said})
    first, *rest = written(backend, longest=None, said=False)
    assert (first.text, first.tokens) == (f"<think>\n{said[0]}", 1)
    assert "".join(piece.text for piece in rest) == said[1]
    assert "".join(piece.text for piece in written(backend, longest=None, said=True)) == "".join(said)


def test_an_engine_that_dies_in_the_middle_is_an_error(tokenizer):
    backend, _ = backend_of(TEXT, tokenizer, "vllm", lambda body: {"pieces": [PREFIX], "broken": True})
    with pytest.raises(ApiError) as caught:
        written(backend, longest=None, said=False)
    assert caught.value.status == 502


def test_who_stops_reading_ends_the_engines_work(tokenizer):
    backend, engine = backend_of(TEXT, tokenizer, "vllm", lambda body: {"pieces": [PREFIX, *"abc" * 50], "delay": 0.01})

    async def give_up():
        pieces = backend.write(Query("x"), longest=None, said=False)
        await anext(pieces)
        await pieces.aclose()

    asyncio.run(give_up())
    assert engine.cancelled == 1
