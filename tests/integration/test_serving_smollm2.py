"""SmolLM2 behind its guard, asked by the real openai client: served here, and by real engines behind the gateway.

Slow: it trains, exports and starts engines. ANTIVENOM_ARTIFACTS names a folder with artifacts that are there already,
`labels` and `answers`, and rows to ask beside them, `labels.jsonl` and `answers.jsonl`.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from real_engines import Bare, engine_on, require
from serving_scenes import running

from antivenom.artifacts.artifact import load_artifact
from antivenom.cli import main
from antivenom.inference.guarded import load_guarded
from antivenom.serving.app import make_app
from antivenom.serving.assembly import Upstream, make_service
from antivenom.testing import synthetic_rows

pytestmark = pytest.mark.slow
MADE = os.environ.get("ANTIVENOM_ARTIFACTS", "")
PREFIX = "The answer is:"
KINDS = {"labels": [], "answers": ["--kind", "generation", "--max-new-tokens", "8", "--answer-prefix", PREFIX]}
MOST = 12


@dataclass(frozen=True)
class Served:
    """An artifact and where it is served."""

    run: Path
    rows: Path
    """Rows to ask."""
    url: str
    bare: Bare | None
    """The engine behind the gateway; None where the model is here."""

    def texts(self) -> list[str]:
        """What is asked."""
        rows = [json.loads(line) for line in self.rows.read_text().splitlines()][:MOST]
        return [row["text"] if "text" in row else row["messages"][0]["content"] for row in rows]


@pytest.fixture(scope="module", params=list(KINDS))
def artifact(request, tmp_path_factory) -> tuple[Path, Path]:
    """An artifact of SmolLM2, and rows to ask."""
    kind = request.param
    if MADE:
        return Path(MADE) / kind, Path(MADE) / f"{kind}.jsonl"
    folder = tmp_path_factory.mktemp(kind)
    rows = list(labeled() if kind == "labels" else answered())
    for name, part in (("trusted", rows[:24]), ("train", rows[24:72]), (kind, rows[72:])):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in part))
    command = ["fit", str(folder / "train.jsonl"), "--trusted", str(folder / "trusted.jsonl"), "--defense", "p2p"]
    settings = ["--learning-rate", "2e-3", "--batch-size", "8", "--epochs", "5", "--top-layers", "8"]
    settings += ["--out", str(folder / kind), "--quiet"]
    assert main([*command, *settings, *KINDS[kind]]) == 0
    return folder / kind, folder / f"{kind}.jsonl"


def labeled() -> Iterator[dict[str, Any]]:
    for row in synthetic_rows(90).to_pylist():
        yield {"text": row["text"], "label": row["answer"]}


def answered() -> Iterator[dict[str, Any]]:
    words = ["eins", "zwei", "drei", "四", "fünf", "six", "sept"]
    for i in range(90):
        asked = {"role": "user", "content": f"what follows on {words[i % 7]} in row {i}?"}
        yield {"messages": [asked, {"role": "assistant", "content": words[(i + 1) % 7]}]}


@pytest.fixture(scope="module", params=["here", "transformers", "llamacpp"])
def served(request, artifact, tmp_path_factory) -> Iterator[Served]:
    run, rows = artifact
    if request.param == "here":
        with running(make_app(make_service(run))) as url:
            yield Served(run, rows, url, None)
        return
    require(request.param)
    with engine_on(request.param, run, tmp_path_factory.mktemp(request.param) / "merged") as bare:
        upstream = Upstream(bare.url, request.param, bare.model)
        with running(make_app(make_service(run, upstream=upstream))) as url:
            yield Served(run, rows, url, bare)


@pytest.fixture(scope="module")
def expected(artifact) -> list[str]:
    """What the artifact answers."""
    run, rows = artifact
    return [one.answer for one in load_guarded(run).predict(Served(run, rows, "", None).texts())]


def asked(served: Served, text: str, **fields: Any) -> dict[str, Any]:
    return {"model": served.run.name, "messages": [{"role": "user", "content": text}], **fields}


def test_every_client_gets_what_predict_says(served, expected):
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0, timeout=300) as client:
        whole, pieces = [], []
        for text in served.texts():
            answer = client.chat.completions.create(**asked(served, text))
            whole.append(answer.choices[0].message.content)
            stream = client.chat.completions.create(**asked(served, text, stream=True))
            pieces.append("".join(piece.choices[0].delta.content or "" for piece in stream))
        assert [model.id for model in client.models.list()] == [served.run.name]
    assert whole == expected
    assert pieces == expected


def test_many_at_a_time_get_their_own_answers(served, expected):
    async def ask_all() -> list[str | None]:
        url = f"{served.url}/v1"
        async with openai.AsyncOpenAI(base_url=url, api_key="none", max_retries=0, timeout=300) as client:

            async def one(text: str) -> str:
                stream = await client.chat.completions.create(**asked(served, text, stream=True))
                return "".join([piece.choices[0].delta.content or "" async for piece in stream])

            return list(await asyncio.gather(*map(one, served.texts())))

    assert asyncio.run(ask_all()) == expected


def test_no_byte_of_an_answer_holds_the_guards_own_words(served):
    guard = load_artifact(served.run).guard
    hidden = [guard.secret.trigger, getattr(guard.answers, "prefix", "")]
    if guard.task.classes is not None:
        hidden += [f'"{guard.labels.choices[choice]}"' for choice in guard.labels.allowed]
    with httpx2.Client(base_url=served.url, timeout=300, trust_env=False) as client:
        for text in served.texts()[:4]:
            for stream in (False, True):
                said = client.post("/v1/chat/completions", json=asked(served, text, stream=stream))
                assert said.status_code == 200
                assert not [word for word in hidden if word and word in said.text]


def printed(command: list[str], *, code: int = 0) -> dict[str, Any]:
    """What a command prints as JSON."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert main([*command, "--json"]) == code
    found: dict[str, Any] = json.loads(out.getvalue())
    return found


@pytest.fixture(scope="module")
def evaluation(artifact) -> list[str]:
    run, rows = artifact
    attack = ["--attack", "badnets"] if run.name == "labels" else []
    return ["evaluate", str(run), str(rows), *attack, "--quiet"]


@pytest.fixture(scope="module")
def measured_here(evaluation) -> dict[str, Any]:
    return printed(evaluation)


def test_evaluate_measures_the_same(served, evaluation, measured_here):
    there = printed([*evaluation, "--base-url", served.url])
    # What is withheld from clients can be read here alone, so it counts on neither side.
    numbers = ("accuracy",) if served.run.name == "labels" else ("accuracy_extended", "alpha", "escape")
    assert [there["clean"][one] for one in numbers] == [measured_here["clean"][one] for one in numbers]
    for one, other in zip(measured_here["attacks"], there["attacks"], strict=True):
        assert [one[k] for k in ("asr_deployed", "floor", "excess")] == [
            other[k] for k in ("asr_deployed", "floor", "excess")
        ]


def test_verify_proves_the_guard_of_the_gateway(served):
    found = printed(["verify", str(served.run), "--base-url", served.url])
    assert {one["state"] for one in found["ways_around"]} == {"good"}


def test_verify_says_what_is_open_where_nothing_is_in_front(served):
    if served.bare is None:
        pytest.skip("the model is here, behind its guard")
    command = ["verify", str(served.run), "--base-url", served.bare.url, "--served-name", served.bare.model]
    found = printed([*command, "--no-canaries"], code=1)
    states = {one["what"]: one["state"] for one in (*found["applied"], *found["ways_around"])}
    assert states["raw endpoint /v1/completions"] == "bad"
    assert "good" in {one["state"] for one in found["applied"]}  # the baked template is applied
