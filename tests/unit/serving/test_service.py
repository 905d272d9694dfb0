"""The service over HTTP with a scripted backend: answers, streams, policies, limits, errors."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import socket
import threading
import time

import httpx2
import pytest
from serving_scenes import LABELS, PREFIX, TEXT, Scripted, ask, client_of, events, guard_of, service_of, streamed

from antivenom.core.errors import OptionsError
from antivenom.serving import running
from antivenom.serving.backend import LabelAnswer
from antivenom.serving.errors import upstream_failed
from antivenom.serving.keys import Keys
from antivenom.serving.options import ServiceLimits
from antivenom.serving.service import LOG, Service

SAID = ("The an", "swer is", ": fo", "rty two", " \n")
ESCAPED = ("It is ", "seven")


def text(pieces=SAID, **fields) -> Scripted:
    return Scripted(guard_of(TEXT), tuple(pieces), **fields)


def labels(**fields) -> Scripted:
    return Scripted(guard_of(LABELS), **fields)


def counted(client, line):
    """Whether the metrics come to hold a line; a response is counted when its last byte is out."""
    deadline = time.monotonic() + 5
    while f"{line}\n" not in client.get("/metrics").text:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


@contextlib.contextmanager
def connected(client, *, missing=0):
    """A client that asks for a stream and reads nothing of it."""
    body = json.dumps({"model": "safe", "messages": [{"role": "user", "content": "x"}], "stream": True}).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    with socket.create_connection((client.base_url.host, client.base_url.port)) as raw:
        raw.sendall(head + b"content-length: %d\r\n\r\n" % (len(body) + missing) + body)
        yield raw


def test_a_label_comes_with_probabilities_and_its_escape():
    with client_of(service_of(labels())) as client:
        found = ask(client, logprobs=True, top_logprobs=5)
        body = found.json()
    [choice] = body["choices"]
    assert choice["message"]["content"] == "positive"
    [token] = choice["logprobs"]["content"]
    assert (token["token"], token["logprob"]) == ("positive", -0.1)
    assert [one["token"] for one in token["top_logprobs"]] == ["positive", "negative"]
    assert found.headers["x-antivenom-escape"] == "0.050000; inside"
    assert body["usage"]["prompt_tokens"] == 3


def test_a_label_streams_as_one_piece():
    with client_of(service_of(labels())) as client:
        found = ask(client, stream=True, stream_options={"include_usage": True})
    assert streamed(found) == "positive"
    assert events(found)[-1]["usage"]["completion_tokens"] == 1


def test_a_free_answer_is_stripped_whole_and_streamed():
    with client_of(service_of(text())) as client:
        whole, pieces = ask(client), ask(client, stream=True)
    assert whole.json()["choices"][0]["message"]["content"] == streamed(pieces) == "forty two"
    assert PREFIX[:6] not in pieces.text
    assert pieces.headers["x-antivenom-escape"] == "0.000000; inside"
    assert events(pieces)[-1]["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("policy", "content", "finish"),
    [("report", "It is seven", "stop"), ("withhold", "", "content_filter"), ("retry", "eight", "stop")],
)
def test_what_comes_when_the_prefix_is_missing(policy, content, finish, stream):
    backend = text(ESCAPED, again=(" eig", "ht"))
    with client_of(service_of(backend, on_escape=policy)) as client:
        found = ask(client, stream=stream)
        assert counted(client, "antivenom_escapes_total 1")
    if stream:
        assert (streamed(found), events(found)[-1]["choices"][0]["finish_reason"]) == (content, finish)
    else:
        choice = found.json()["choices"][0]
        assert (choice["message"]["content"], choice["finish_reason"]) == (content, finish)
    assert found.headers["x-antivenom-escape"] == "1.000000; outside"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("policy", ["report", "withhold", "retry"])
def test_a_model_that_runs_out_of_tokens_in_its_thought_has_neither_answered_nor_escaped(policy, stream):
    backend = text(("<think>\nis it ", "seven?"), again=(" eight",), finished=False)
    with client_of(service_of(backend, on_escape=policy)) as client:
        found = ask(client, stream=stream)
        assert counted(client, 'antivenom_responses_total{status="200"} 1')
        assert counted(client, "antivenom_answers_total 0")
    said = streamed(found) if stream else found.json()["choices"][0]["message"]["content"]
    choice = (events(found)[-1] if stream else found.json())["choices"][0]
    assert (said, choice["finish_reason"]) == ("", "length")
    assert "x-antivenom-escape" not in found.headers
    assert len(backend.asked) == 1


def test_a_conversation_goes_on_behind_an_answer_that_was_withheld():
    with client_of(service_of(text(ESCAPED), on_escape="withhold")) as client:
        question = {"role": "user", "content": "a warm film"}
        withheld = ask(client, [question]).json()["choices"][0]["message"]
        assert withheld["content"] == ""
        assert ask(client, [question, withheld, question]).status_code == 200
        assert ask(client, [question, withheld, {**question, "content": ""}]).status_code == 400


def test_the_escape_header_can_be_left_out():
    with client_of(service_of(text(), escape_header=False)) as client:
        assert "x-antivenom-escape" not in ask(client).headers


@pytest.mark.parametrize("stream", [False, True])
def test_a_stop_string_ends_the_answer_behind_the_guard(stream):
    backend = text()
    with client_of(service_of(backend)) as client:
        found = ask(client, stream=stream, stop=["is", "y t"])
    said = streamed(found) if stream else found.json()["choices"][0]["message"]["content"]
    assert said == "fort"
    assert backend.closed == 1


def test_an_answer_that_is_too_long_says_so():
    with client_of(service_of(text(finished=False))) as client:
        assert ask(client, max_tokens=3).json()["choices"][0]["finish_reason"] == "length"


def test_an_error_before_the_first_word_has_a_status():
    with client_of(service_of(text(fail=upstream_failed("gone"), fail_after=0))) as client:
        found = ask(client, stream=True)
    assert found.status_code == 502
    assert found.json()["error"] == {"message": "gone", "type": "api_error", "param": None, "code": "upstream_error"}


def test_an_error_behind_the_first_word_is_an_event():
    with client_of(service_of(text(fail=upstream_failed("gone"), fail_after=4))) as client:
        found = ask(client, stream=True)
    assert found.status_code == 200
    assert events(found)[-1]["error"]["message"] == "gone"


def test_an_unknown_failure_says_nothing_of_its_cause():
    with client_of(service_of(text(fail=RuntimeError("a secret"), fail_after=0))) as client:
        found = ask(client)
    assert found.status_code == 500
    assert "secret" not in found.text


@pytest.mark.parametrize(
    "limits",
    [
        ServiceLimits(first_seconds=0.05),
        ServiceLimits(next_seconds=0.05, first_seconds=5),
        ServiceLimits(whole_seconds=0.05),
    ],
)
def test_every_stage_has_a_time(limits):
    with client_of(service_of(text(delay=0.2), limits=limits)) as client:
        found = ask(client)
    assert (found.status_code, found.json()["error"]["code"]) == (504, "timeout")


def test_a_stream_that_says_nothing_shows_signs_of_life():
    with client_of(service_of(text(delay=0.1), limits=ServiceLimits(keep_alive_seconds=0.05))) as client:
        found = ask(client, stream=True)
    assert ": still working" in found.text
    assert streamed(found) == "forty two"


def test_too_many_requests_are_told_to_come_back():
    with client_of(service_of(labels(delay=0.5), limits=ServiceLimits(most_requests=1))) as client:
        first = threading.Thread(target=ask, args=(client,))
        first.start()
        time.sleep(0.2)
        found = ask(client)
        first.join()
    assert (found.status_code, found.headers["retry-after"]) == (429, "1")
    assert found.json()["error"]["type"] == "rate_limit_error"


def test_large_bodies_are_refused():
    with client_of(service_of(labels(), limits=ServiceLimits(most_bytes=1000))) as client:
        assert ask(client, "x" * 10_000).status_code == 413
        chunks = client.post("/v1/chat/completions", content=(b"x" * 600 for _ in range(3)),
                             headers={"content-type": "application/json"})  # fmt: skip
        assert chunks.status_code == 413
        assert ask(client).status_code == 200


def test_a_body_that_never_ends_is_given_up():
    service = service_of(labels(), limits=ServiceLimits(body_seconds=0.1))
    with client_of(service) as client, connected(client, missing=1) as raw:
        assert b"408" in raw.recv(4096)


def test_who_goes_ends_the_work_at_once():
    backend = text(["x"] * 1000, delay=0.01)
    with client_of(service_of(backend)) as client:
        with connected(client):
            time.sleep(0.15)
        deadline = time.monotonic() + 2
        while not backend.closed and time.monotonic() < deadline:
            time.sleep(0.01)
        assert backend.closed == 1
        assert counted(client, "antivenom_clients_gone_total 1")


def test_keys_open_the_door():
    keys = Keys.read(["# ours", "", "ann:0123456789abcdef", "fedcba9876543210"])
    service = Service(labels(), "safe", "", keys=keys)
    with client_of(service) as client:
        answers = {}
        for header in ("", "Bearer wrong-wrong-wrong", "Bearer 0123456789abcdef", "Basic 0123456789abcdef"):
            client.headers["authorization"] = header
            answers[header] = ask(client).status_code
        assert client.get("/health").status_code == 200
        assert client.get("/v1/models").status_code == 401
    assert answers == {"": 401, "Bearer wrong-wrong-wrong": 401, "Bearer 0123456789abcdef": 200,
                       "Basic 0123456789abcdef": 401}  # fmt: skip
    assert keys.who(["Bearer fedcba9876543210"]) == "key-4"
    assert keys.who(["Bearer fedcba9876543210"] * 2) is None
    with pytest.raises(OptionsError):
        Keys.read(["short"])
    with pytest.raises(OptionsError):
        Keys.read([])


def test_only_the_endpoints_of_the_list_are_there():
    with client_of(service_of(labels())) as client:
        assert [m["id"] for m in client.get("/v1/models").json()["data"]] == ["safe"]
        assert client.get("/v1/models/safe").json()["id"] == "safe"
        assert client.get("/v1/models/other").status_code == 404
        assert client.get("/v1/chat/completions").status_code == 405
        assert client.post("/v1/completions", json={}).json()["error"]["code"] == "not_found"
        page = client.get("/")
        assert client.get("/ready").status_code == 200
    assert "safe" in page.text
    assert page.headers["content-security-policy"].startswith("default-src 'none'")


def test_it_is_not_ready_when_the_backend_is_not():
    with client_of(service_of(labels(fail=RuntimeError()))) as client:
        assert client.get("/ready").status_code == 503
        assert client.get("/health").status_code == 200


def test_logs_have_an_id_and_times_but_no_text_and_no_trigger(caplog):
    LOG.propagate = True
    with caplog.at_level(logging.INFO, logger=LOG.name), client_of(service_of(text(ESCAPED))) as client:
        client.headers["x-request-id"] = "mine-1"
        found = ask(client, "my own words")
        odd = client.get("/v1/models", headers={"x-request-id": "a b\tc"})
    assert found.headers["x-request-id"] == "mine-1"
    assert odd.headers["x-request-id"] != "a b\tc"
    line = json.loads(caplog.records[-1].message)
    assert line["request"] == "mine-1"
    assert {"ms", "read_ms", "status", "escaped", "prompt_tokens"} <= line.keys()
    assert not any(secret in caplog.text for secret in ("my own", "Kindly", "seven", PREFIX))


def test_the_alarm_is_on_when_escapes_leave_their_band():
    from antivenom.serving.escapes import Band, EscapeMonitor

    now = [0.0]
    monitor = EscapeMonitor(Band.measured(2, 400), clock=lambda: now[0])
    assert not any(monitor.add(i % 200 == 0) for i in range(400))
    now[0] = 120.0
    alarms = [monitor.add(True) for _ in range(60)]
    assert alarms[-1]
    assert monitor.minutes() == [(2, 400, 2), (0, 60, 60)]
    service = Service(labels(label_answer=LabelAnswer("positive", False, (), 0.9)), "safe", "", monitor=monitor)
    with client_of(service) as client:
        ask(client)
        assert counted(client, "antivenom_escape_alarm 1")
        assert "ALARM" in client.get("/").text


def test_a_band_far_above_zero_is_left_below_too():
    from antivenom.serving.escapes import Band, EscapeMonitor

    monitor = EscapeMonitor(Band(0.4, 0.6))
    assert any(monitor.add(False) for _ in range(100))
    assert not EscapeMonitor().alarm


def test_slow_readers_do_not_pile_up_answers():
    backend = text([PREFIX, *["x" * 60_000] * 400])
    with client_of(service_of(backend, limits=ServiceLimits(send_seconds=0.3))) as client:
        with connected(client):
            deadline = time.monotonic() + 5
            while not backend.closed and time.monotonic() < deadline:
                time.sleep(0.05)
        assert backend.closed == 1


def test_the_page_of_the_status_names_no_secret():
    with client_of(service_of(labels())) as client:
        assert "Kindly" not in client.get("/").text


def test_to_be_stopped_is_no_failure(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(running, "_log_lines", lambda: None)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])

    def stop() -> None:
        while True:
            with contextlib.suppress(httpx2.HTTPError):
                if httpx2.get(f"http://127.0.0.1:{port}/health", trust_env=False).status_code == 200:
                    break
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=stop)
    thread.start()
    running.run(service_of(labels()), "127.0.0.1", port)
    thread.join()
