"""The gateway under schemathesis: requests that fit its schema and requests that do not. Slow: minutes of them.

schemathesis pins packages that this project needs in other versions, so it has an environment of its own: put its
folder of programs on PATH, or name it in ANTIVENOM_TOOLS. The engine behind the gateway is scripted.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import httpx2
import pytest
from serving_scenes import LABELS, PREFIX, TEXT, FakeEngine, guard_of, running

from antivenom.guards.encoding import make_encoder
from antivenom.serving.app import make_app
from antivenom.serving.engines import ENGINES
from antivenom.serving.service import Service
from antivenom.serving.upstream import Link, UpstreamBackend

TOOL = shutil.which("schemathesis", path=f"{os.environ.get('ANTIVENOM_TOOLS', '')}{os.pathsep}{os.environ['PATH']}")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(TOOL is None, reason="schemathesis is not on PATH nor in ANTIVENOM_TOOLS"),
]
EXAMPLES = os.environ.get("ANTIVENOM_FUZZ_EXAMPLES", "150")
ERROR = {
    "type": "object",
    "required": ["error"],
    "additionalProperties": False,
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {"message": {"type": "string", "minLength": 1}, "type": {"type": "string"}},
        }
    },
}
ANSWER = {
    "type": "object",
    "required": ["id", "object", "created", "model", "choices", "usage"],
    "properties": {"choices": {"type": "array", "minItems": 1, "maxItems": 1}, "model": {"const": "safe"}},
}
WORDS = {"type": "string", "pattern": "[^\\s\\x1c-\\x1f\\x85]"}
"""Anything but white space alone."""
TEXT_PART = {
    "type": "object",
    "required": ["type", "text"],
    "additionalProperties": False,
    "properties": {"type": {"const": "text"}, "text": WORDS},
}
TURN = {
    "type": "object",
    "required": ["role", "content"],
    "additionalProperties": False,
    "properties": {
        "role": {"const": "user"},
        "content": {"anyOf": [WORDS, {"type": "array", "minItems": 1, "items": TEXT_PART}]},
    },
}
FIELDS = {
    "model": {"const": "safe"},
    "max_tokens": {"type": ["integer", "null"], "minimum": 1, "maximum": 1_000_000},
    "max_completion_tokens": {"type": ["integer", "null"], "minimum": 1, "maximum": 1_000_000},
    "temperature": {"type": ["number", "null"], "minimum": 0, "maximum": 2},
    "top_p": {"type": ["number", "null"], "minimum": 0, "maximum": 1},
    "n": {"enum": [1, None]},
    "seed": {"type": ["integer", "null"]},
    "stop": {"anyOf": [{"type": "null"}, {"type": "string", "minLength": 1, "maxLength": 200}]},
    "logit_bias": {"enum": [{}, None]},
    "response_format": {"enum": [{"type": "text"}, None]},
    "tools": {"enum": [[], None]},
    "user": {"type": ["string", "null"]},
    "metadata": {"type": ["object", "null"]},
    "stream": {"type": ["boolean", "null"]},
    "stream_options": {"const": None},
}
STREAMED = {"stream": {"const": True}, "stream_options": {"enum": [{"include_usage": True}, {}]}}
TOLD = {"logprobs": {"const": True}, "top_logprobs": {"type": ["integer", "null"], "minimum": 0, "maximum": 20}}


def request(labels: bool) -> dict[str, Any]:
    """What the gateway says it takes; the tool also sends what does not fit."""
    fields = {**FIELDS, "messages": {"type": "array", "minItems": 1, "maxItems": 1 if labels else 200, "items": TURN}}
    plain = {
        "logprobs": {"enum": [True, False, None] if labels else [False, None]},
        "top_logprobs": {"enum": [0, None]},
    }
    variants = [{}, STREAMED, TOLD] if labels else [{}, STREAMED]
    return {
        "anyOf": [
            {
                "type": "object",
                "required": ["model", "messages", *variant],
                "additionalProperties": False,
                "properties": {**fields, **plain, **variant},
            }
            for variant in variants
        ]
    }


def responses(good: dict[str, Any] | None, kind: str = "application/json") -> dict[str, Any]:
    content = {kind: {} if good is None else {"schema": good}}
    told = {"description": "refused", "content": {"application/json": {"schema": ERROR}}}
    return {"200": {"description": "answered", "content": content}, "4XX": told}


def schema(labels: bool) -> dict[str, Any]:
    chat = {"requestBody": {"required": True, "content": {"application/json": {"schema": request(labels)}}}}
    chat["responses"] = responses(ANSWER)
    chat["responses"]["200"]["content"]["text/event-stream"] = {}
    name = {"name": "name", "in": "path", "required": True, "schema": {"enum": ["safe", "other"]}}
    paths = {
        "/v1/chat/completions": {"post": chat},
        "/v1/models": {"get": {"responses": responses({"type": "object", "required": ["object", "data"]})}},
        "/v1/models/{name}": {"get": {"parameters": [name], "responses": responses({"type": "object"})}},
        "/health": {"get": {"responses": responses({"const": {"status": "ok"}})}},
        "/ready": {"get": {"responses": responses({"const": {"status": "ready"}})}},
        "/metrics": {"get": {"responses": responses(None, "text/plain")}},
        "/": {"get": {"responses": responses(None, "text/html")}},
    }
    return {"openapi": "3.1.0", "info": {"title": "gateway", "version": "1"}, "paths": paths}


def says(body: dict[str, Any]) -> dict[str, Any]:
    """The scripted engine: a label that it names probabilities for, or a free answer."""
    if body.get("stream"):
        return {"pieces": [PREFIX, " for", "ty", "-two é"]}
    named = {" negative": -3.0, " positive": -0.2, " bad": -1.0, " good": -0.3}
    return {"choices": [{"index": 0, "text": f"{PREFIX} x", "finish_reason": "stop",
                         "logprobs": {"top_logprobs": [named]}}]}  # fmt: skip


@contextlib.contextmanager
def gateway(task: Any, tokenizer: Any) -> Iterator[str]:
    task = replace(task, frame=replace(task.frame, max_tokens=1_000_000))  # no text is too long
    with running(FakeEngine(says)) as engine:
        client = httpx2.AsyncClient(base_url=engine, timeout=20, trust_env=False)
        backend = UpstreamBackend(make_encoder(guard_of(task), tokenizer), Link(client, ENGINES["llamacpp"], "m"))
        with running(make_app(Service(backend, "safe", "nothing"))) as url:
            yield url


@pytest.mark.parametrize("task", [LABELS, TEXT], ids=["labels", "answers"])
def test_schemathesis_finds_no_failure(task, tokenizer, tmp_path):
    (tmp_path / "openapi.json").write_text(json.dumps(schema(task is LABELS)))
    checks = ("not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,"
              "negative_data_rejection,positive_data_acceptance")  # fmt: skip
    with gateway(task, tokenizer) as url:
        command = [str(TOOL), "run", "openapi.json", "--url", url, "--checks", checks, "--mode", "all"]
        command += ["--phases", "coverage,fuzzing", "--max-examples", EXAMPLES, "--request-timeout", "10"]
        command += ["--seed", "32", "--no-color", "--continue-on-failure", "--suppress-health-check", "all"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=1200, check=False)
        print(done.stdout)
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
        assert httpx2.get(f"{url}/health", trust_env=False).status_code == 200
