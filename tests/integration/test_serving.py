"""Artifacts of a tiny model served on this machine, asked by the real openai client."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import time
from pathlib import Path

import openai
import pytest
from serving_scenes import running

from antivenom.artifacts.artifact import TRUSTED_KEY
from antivenom.artifacts.signature import SIGNATURE
from antivenom.cli import main
from antivenom.core.errors import ArtifactError, OptionsError
from antivenom.data.query import Query, Turn
from antivenom.inference.guarded import load_guarded
from antivenom.serving.app import make_app
from antivenom.serving.assembly import Upstream, make_service, measured_band
from antivenom.serving.errors import ApiError
from antivenom.serving.options import Policy
from antivenom.testing import synthetic_rows

QUICK = ["--batch-size", "16", "--epochs", "1", "--learning-rate", "0.002", "--rank", "4", "--quiet"]
TEXTS = synthetic_rows(24, seed=5).column("text").to_pylist()


def write_rows(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def labels(tmp_path_factory, model_folder):
    folder = tmp_path_factory.mktemp("labels")
    rows = [{"text": row["text"], "label": row["answer"]} for row in synthetic_rows(120).to_pylist()]
    trusted = write_rows(folder / "trusted.jsonl", rows[:40])
    train = write_rows(folder / "train.jsonl", rows[40:])
    out = folder / "safe"
    command = ["fit", train, "--trusted", trusted, "--defense", "p2p", "--model", str(model_folder), "--out", str(out)]
    assert main([*command, *QUICK]) == 0
    return out


@pytest.fixture(scope="module")
def answers(tmp_path_factory, model_folder):
    folder = tmp_path_factory.mktemp("answers")
    words = ["plot", "scene", "script", "sound"]
    rows = [{"messages": [{"role": "user", "content": f"what is the {words[i % 4]} of {i}"},
                          {"role": "assistant", "content": f"{i % 7}"}]} for i in range(60)]  # fmt: skip
    trusted, train = write_rows(folder / "trusted.jsonl", rows[:20]), write_rows(folder / "train.jsonl", rows[20:])
    out = folder / "helper"
    kind = ["--kind", "generation", "--max-new-tokens", "8", "--malicious", "0.1", "--answer-prefix", "Answer:"]
    command = ["fit", train, "--trusted", trusted, "--defense", "p2p", "--model", str(model_folder), "--out", str(out)]
    assert main([*command, *kind, *QUICK]) == 0
    return out


@pytest.fixture(scope="module")
def url(labels):
    with running(make_app(make_service(labels))) as found:
        yield found


def client(url, kind=openai.OpenAI):
    return kind(base_url=f"{url}/v1", api_key="none", max_retries=0)


def messages(text):
    return [{"role": "user", "content": text}]


def test_the_openai_client_gets_labels_with_probabilities(labels, url):
    expected = load_guarded(labels).predict(TEXTS[:6])
    with client(url) as asked:
        for text, reading in zip(TEXTS[:6], expected, strict=True):
            found = asked.chat.completions.create(
                model="safe", messages=messages(text), logprobs=True, top_logprobs=2, temperature=0
            )
            assert found.choices[0].message.content == reading.answer
            [token] = found.choices[0].logprobs.content
            assert {one.token for one in token.top_logprobs} == {"negative", "positive"}
            total = sum(2.718281828459045**one.logprob for one in token.top_logprobs)
            assert total == pytest.approx(1 - reading.escape, abs=1e-4)
        assert [model.id for model in asked.models.list()] == ["safe"]


def test_the_openai_client_streams_a_label(labels, url):
    with client(url) as asked:
        stream = asked.chat.completions.create(model="safe", messages=messages(TEXTS[0]), stream=True)
        said = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    assert said == load_guarded(labels).predict(TEXTS[:1])[0].answer


def test_many_clients_at_a_time_get_their_own_answers_in_batches(labels, url, monkeypatch):
    expected = [reading.answer for reading in load_guarded(labels).predict(TEXTS)]

    async def ask_all():
        async with client(url, openai.AsyncOpenAI) as asked:
            return await asyncio.gather(
                *(asked.chat.completions.create(model="safe", messages=messages(text)) for text in TEXTS)
            )

    found = asyncio.run(ask_all())
    assert [one.choices[0].message.content for one in found] == expected


def test_requests_that_wait_are_scored_together(labels):
    service, sizes = make_service(labels), []
    score = service.backend._model.score
    service.backend._model.score = lambda asked: (sizes.append(len(asked)), time.sleep(0.05), score(asked))[-1]

    async def ask_all():
        return await asyncio.gather(*(service.backend.label(Query(text)) for text in TEXTS))

    assert len(asyncio.run(ask_all())) == len(TEXTS)
    assert sum(sizes) == len(TEXTS)
    assert len(sizes) <= 2


def test_a_request_that_cannot_be_rendered_fails_alone(labels):
    service = make_service(labels)
    asked = [*map(Query, TEXTS[:3]), Query("a film", image=b"for a model that reads texts"), *map(Query, TEXTS[3:6])]

    async def ask_all():
        return await asyncio.gather(*map(service.backend.label, asked), return_exceptions=True)

    found = asyncio.run(ask_all())
    refused = found.pop(3)
    assert isinstance(refused, ApiError)
    assert refused.status == 400
    assert [one.label for one in found] == [one.answer for one in load_guarded(labels).predict(TEXTS[:6])]


def test_a_free_answer_to_what_cannot_be_rendered_is_refused_as_the_clients_mistake(answers):
    service = make_service(answers)

    async def ask_once():
        await anext(service.backend.write(Query("a film", image=b"an image"), longest=None, said=False))

    with pytest.raises(ApiError) as caught:
        asyncio.run(ask_once())
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"model": "other"}, openai.NotFoundError),
        ({"n": 2}, openai.BadRequestError),
        ({"extra_body": {"chat_template_kwargs": {"a": 1}}}, openai.BadRequestError),
        ({"messages": messages("word " * 3000)}, openai.BadRequestError),
    ],
)
def test_the_openai_client_raises_what_it_raises_elsewhere(url, fields, error):
    with client(url) as asked, pytest.raises(error) as caught:
        asked.chat.completions.create(**{"model": "safe", "messages": messages("a film"), **fields})
    assert caught.value.code


def test_long_texts_are_cut_where_the_service_says_so(labels):
    service = make_service(labels, policy=Policy(cut_long_texts=True))
    with running(make_app(service)) as url, client(url) as asked:
        found = asked.chat.completions.create(model="safe", messages=messages("word " * 3000))
    assert found.choices[0].message.content == load_guarded(labels).predict(["word " * 3000])[0].answer


@pytest.mark.parametrize("policy", ["report", "withhold", "retry"])
def test_free_answers_are_those_of_predict(answers, policy):
    questions = [f"what is the plot of {i}" for i in range(4)]
    expected = load_guarded(answers, on_escape=policy).predict(questions)
    service = make_service(answers, policy=Policy(on_escape=policy))
    with running(make_app(service)) as url, client(url) as asked:
        for question, reading in zip(questions, expected, strict=True):
            whole = asked.chat.completions.create(model="helper", messages=messages(question))
            pieces = asked.chat.completions.create(model="helper", messages=messages(question), stream=True)
            said = "".join(piece.choices[0].delta.content or "" for piece in pieces)
            assert whole.choices[0].message.content == said == reading.answer


def test_tokens_are_spelled_as_they_come_as_they_are_together(answers):
    model = load_guarded(answers)
    query = Query("what is the sound of 9", (Turn("user", "hi"), Turn("assistant", "yes?")))
    [written] = model.write([query])
    parts = list(model.stream(query))
    assert "".join(part.text for part in parts).strip() == written.first.output
    assert sum(part.tokens for part in parts) <= 8
    assert parts[-1].finished == written.first.finished
    assert list(model.stream(query, longest=1, said=True))[-1].finished is not None


def test_a_stream_that_nobody_reads_stops_the_model(answers):
    service = make_service(answers)
    drawn = []
    stream = service.backend._model.stream
    service.backend._model.stream = lambda *a, **k: (drawn.append(1) or time.sleep(0.05) or p for p in stream(*a, **k))

    async def give_up():
        async for _ in service.backend.write(Query("what is the plot"), longest=None, said=False):
            break

    asyncio.run(give_up())
    seen = len(drawn)
    time.sleep(0.3)
    assert len(drawn) <= seen + 2


def test_an_artifact_without_a_guard_is_not_served(tmp_path, model_folder):
    rows = write_rows(
        tmp_path / "rows.jsonl", [{"text": r["text"], "label": r["answer"]} for r in synthetic_rows(40).to_pylist()]
    )
    out = str(tmp_path / "plain")
    assert main(["fit", rows, "--defense", "none", "--model", str(model_folder), "--out", out, *QUICK]) == 0
    with pytest.raises(OptionsError, match="no guard"):
        make_service(out)
    assert make_service(out, allow_unguarded=True).name == "plain"
    with pytest.raises(OptionsError, match="name"):
        make_service(out, name="../x", allow_unguarded=True)


def test_the_band_of_escapes_is_measured_with_held_out_rows(labels):
    service = make_service(labels)
    band = asyncio.run(measured_band(service, [Query(text) for text in TEXTS]))
    escaped = sum(not reading.extended for reading in load_guarded(labels).predict(TEXTS))
    assert band.low <= escaped / len(TEXTS) <= band.high


def test_the_command_serves_until_it_is_told_to_stop(labels, monkeypatch, capsys):
    import uvicorn

    asked = {}

    async def serve(self, sockets):
        asked["host"], asked["port"] = self.config.host, self.config.port
        asked["taken"] = sockets[0].getsockname()

    monkeypatch.setattr(uvicorn.Server, "serve", serve)
    assert main(["serve", str(labels), "--port", "0"]) == 0
    assert asked["taken"] == (asked["host"], asked["port"])
    assert asked["host"] == "127.0.0.1"
    assert asked["port"] > 0
    with socket.create_server(("127.0.0.1", 0)) as listener:
        for port in (listener.getsockname()[1], 99999, -1):
            assert main(["serve", str(labels), "--port", str(port)]) == 1
            assert "nobody can listen" in capsys.readouterr().err
    assert main(["serve", str(labels), "--host", "0.0.0.0"]) == 1
    assert "no API keys" in capsys.readouterr().err
    monkeypatch.setenv("ANTIVENOM_API_KEYS", "ann:0123456789abcdef")
    assert main(["serve", str(labels), "--host", "0.0.0.0", "--port", "0"]) == 0


@pytest.fixture(scope="module")
def rows_to_test(tmp_path_factory):
    rows = [{"text": row["text"], "label": row["answer"]} for row in synthetic_rows(24, seed=9).to_pylist()]
    return write_rows(tmp_path_factory.mktemp("test") / "test.jsonl", rows)


def test_evaluate_measures_an_endpoint_as_the_artifact(labels, url, rows_to_test, capsys):
    command = ["evaluate", str(labels), rows_to_test, "--split", "train", "--attack", "badnets", "--json", "--quiet"]
    found = []
    for more in ([], ["--base-url", f"{url}/v1"]):
        assert main([*command, *more]) == 0
        found.append(json.loads(capsys.readouterr().out))
    here, there = found
    assert there["clean"]["accuracy"] == here["clean"]["accuracy"]
    for number in ("asr_deployed", "floor", "excess"):
        assert there["attacks"][0][number] == here["attacks"][0][number]
    assert there["provenance"]["base_url"] == f"{url}/v1"


def test_predict_asks_an_endpoint_once(labels, url, rows_to_test, tmp_path, capsys):
    out = tmp_path / "answers.jsonl"
    command = ["predict", str(labels), "--file", rows_to_test, "--out", str(out), "--base-url", url, "--quiet"]
    assert main(command) == 0
    whole = [json.loads(line) for line in out.read_text().splitlines()]
    texts = [line["text"] for line in whole]
    assert [line["answer"] for line in whole] == [r.answer for r in load_guarded(labels).predict(texts)]
    assert main(command) == 0, "what is answered is not asked again"
    assert [json.loads(line) for line in out.read_text().splitlines()] == whole
    cut = out.read_text()[:-5]
    out.write_text(cut)
    assert main(command) == 1, "a file that somebody changed is left alone"
    assert out.read_text() == cut
    assert main(["predict", str(labels), "a film", "--base-url", url, "--on-escape", "retry"]) == 1
    assert main(["predict", str(labels), "a film", "--base-url", "http://127.0.0.1:9"]) == 1
    assert main(["predict", str(labels), "a film", "--base-url", url, "--served-name", "other"]) == 1
    assert "404" in capsys.readouterr().err


@pytest.fixture
def copied(labels, tmp_path):
    return Path(shutil.copytree(labels, tmp_path / "safe"))


def taken(folder, url, test):
    """Whether an artifact is taken: in front of an engine, and to read the answers of an endpoint."""

    def stands_before_an_engine():
        try:
            return bool(make_service(folder, upstream=Upstream("http://127.0.0.1:9", "vllm", "engine-model")))
        except ArtifactError:
            return False

    commands = (["predict", str(folder), "a film"], ["evaluate", str(folder), test, "--split", "train", "--quiet"])
    return [stands_before_an_engine(), *(main([*command, "--base-url", url]) == 0 for command in commands)]


@pytest.mark.parametrize("name", ["chat_template.jinja", "tokenizer.json"])
def test_a_changed_artifact_neither_stands_before_an_engine_nor_reads_its_answers(copied, url, rows_to_test, name):
    assert taken(copied, url, rows_to_test) == [True, True, True]
    with (copied / name).open("a") as file:
        file.write("\n")
    assert taken(copied, url, rows_to_test) == [False, False, False]


def test_where_a_key_is_trusted_an_unsigned_artifact_is_not_taken_either(
    copied, url, rows_to_test, tmp_path, monkeypatch
):
    pytest.importorskip("cryptography")
    assert main(["sign", str(copied), "--key", str(tmp_path / "mine.key"), "--new-key"]) == 0
    monkeypatch.setenv(TRUSTED_KEY, str(tmp_path / "mine.pub"))
    assert taken(copied, url, rows_to_test) == [True, True, True]
    (copied / SIGNATURE).unlink()
    assert taken(copied, url, rows_to_test) == [False, False, False]


def test_free_answers_of_an_endpoint_are_read(answers, capsys):
    with running(make_app(make_service(answers, policy=Policy(on_escape="report")))) as url:
        assert main(["predict", str(answers), "what is the plot of 3", "--base-url", url, "--json"]) == 0
    there = json.loads(capsys.readouterr().out)
    assert main(["predict", str(answers), "what is the plot of 3", "--json"]) == 0
    here = json.loads(capsys.readouterr().out)
    assert (there["answer"], there["extended"]) == (here["answer"], here["extended"])


def test_verify_proves_the_guard_of_a_gateway(labels, url, capsys):
    from antivenom.cli.endpoints import EndpointOptions
    from antivenom.cli.serve import verify_url

    assert main(["verify", str(labels), "--base-url", url, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {one["state"] for one in found["ways_around"]} == {"good"}
    assert verify_url(str(labels), EndpointOptions(url), canaries=False, base=None, json=False) == 1
    assert "FAILED" in capsys.readouterr().out


def test_verify_sees_a_bare_engine(labels, capsys):
    from antivenom.cli.endpoints import EndpointOptions
    from antivenom.cli.serve import verify_url

    async def bare(scope, receive, send):
        if scope["type"] != "http":
            return
        usage = {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6}
        choice = {"index": 0, "message": {"role": "assistant", "content": "positive"}, "finish_reason": "stop"}
        said = {"prompt": "no trigger", "choices": [choice], "usage": usage, "data": [{"id": "safe"}, {"id": "base"}]}
        body = json.dumps(said).encode()
        kind = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 200, "headers": kind})
        await send({"type": "http.response.body", "body": body})

    with running(bare) as url:
        assert verify_url(str(labels), EndpointOptions(url), canaries=False, base=None, json=True) == 1
    found = json.loads(capsys.readouterr().out)
    states = {one["what"]: one["state"] for one in (*found["applied"], *found["ways_around"])}
    assert states["prompt as the server renders it"] == "bad"
    assert states["other models"] == "bad"
    assert states["raw endpoint /v1/completions"] == "bad"
    assert states["begun answer"] == "bad"


def test_the_gateway_runs_inside_an_engines_process(answers, monkeypatch):
    from serving_scenes import FakeEngine, ask, streamed

    from antivenom.serving.middleware import GuardMiddleware

    with pytest.raises(OptionsError, match="ANTIVENOM_RUN"):
        GuardMiddleware(FakeEngine(lambda body: {}))
    monkeypatch.setenv("ANTIVENOM_RUN", str(answers))
    monkeypatch.setenv("ANTIVENOM_ON_ESCAPE", "report")
    engine = FakeEngine(lambda body: {"pieces": ["Answer:", " fi", "ve"]})
    import httpx2

    with running(GuardMiddleware(engine)) as url, httpx2.Client(base_url=url, trust_env=False) as client:
        found = ask(client, "what is the plot", model="helper", stream=True)
        assert streamed(found) == "five"
        assert client.post("/v1/completions", json={"prompt": "raw"}).status_code == 404
    assert len(engine.bodies) == 1
