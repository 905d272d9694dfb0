"""The gateway in front of a real engine: `transformers serve` on the export of a tiny model. Slow: it starts one."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from pathlib import Path

import httpx2
import openai
import pytest
from real_engines import program, require
from serving_scenes import running

from antivenom.cli import main
from antivenom.inference.guarded import load_guarded
from antivenom.serving.app import make_app
from antivenom.serving.assembly import Upstream, make_service
from antivenom.testing import synthetic_rows

pytestmark = pytest.mark.slow
QUICK = ["--batch-size", "16", "--epochs", "1", "--learning-rate", "0.002", "--rank", "4", "--quiet"]
TEXTS = synthetic_rows(8, seed=5).column("text").to_pylist()
KINDS = {
    "labels": ([], [{"text": r["text"], "label": r["answer"]} for r in synthetic_rows(80).to_pylist()]),
    "answers": (
        ["--kind", "generation", "--max-new-tokens", "8", "--malicious", "0.1", "--answer-prefix", "Answer:"],
        [{"messages": [{"role": "user", "content": f"what is {i}"}, {"role": "assistant", "content": f"{i % 7}"}]}
         for i in range(80)],
    ),
}  # fmt: skip


@pytest.fixture(scope="module", params=["labels", "answers"])
def run(request, tmp_path_factory, model_folder) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    options, rows = KINDS[request.param]
    for name, part in (("trusted", rows[:40]), ("train", rows[40:])):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))
    command = ["fit", str(folder / "train.jsonl"), "--trusted", str(folder / "trusted.jsonl"), "--defense", "p2p"]
    model = ["--model", str(model_folder), "--out", str(folder / request.param)]
    assert main([*command, *model, *options, *QUICK]) == 0
    return folder / request.param


@pytest.fixture(scope="module")
def engine(run, tmp_path_factory):
    """`transformers serve` on the exported folder."""
    require("transformers")
    out = tmp_path_factory.mktemp("export") / "merged"
    assert main(["export", "transformers", str(run), "--out", str(out)]) == 0
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    cache = tmp_path_factory.mktemp("hub")
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(cache)}
    command = [
        str(program("transformers")),
        "serve",
        str(out),
        "--device",
        "cpu",
        "--port",
        str(port),
        "--host",
        "127.0.0.1",
    ]
    with (out.parent / "log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            for _ in range(600):
                try:
                    if httpx2.get(f"http://127.0.0.1:{port}/health", timeout=2, trust_env=False).status_code == 200:
                        break
                except httpx2.HTTPError:
                    time.sleep(0.5)
            yield f"http://127.0.0.1:{port}", str(out)
        finally:
            process.terminate()
            process.wait(60)


def test_a_client_gets_what_predict_says(run, engine):
    upstream = Upstream(engine[0], "transformers", engine[1])
    expected = [reading.answer for reading in load_guarded(run, on_escape="withhold").predict(TEXTS)]
    with running(make_app(make_service(run, upstream=upstream))) as url:
        with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
            found = [
                client.chat.completions.create(model=run.name, messages=[{"role": "user", "content": text}])
                for text in TEXTS
            ]
            pieces = client.chat.completions.create(
                model=run.name, messages=[{"role": "user", "content": TEXTS[0]}], stream=True
            )
            said = "".join(piece.choices[0].delta.content or "" for piece in pieces)
        assert [one.choices[0].message.content for one in found] == expected
        assert said == expected[0]


def test_the_engine_alone_is_found_open(run, engine, capsys):
    command = ["verify", str(run), "--base-url", engine[0], "--served-name", engine[1], "--no-canaries", "--json"]
    assert main(command) == 1
    found = json.loads(capsys.readouterr().out)
    states = {one["what"]: one["state"] for one in (*found["applied"], *found["ways_around"])}
    assert states["tokens of the prompt"] == "good"
    assert states["raw endpoint /v1/completions"] == "bad"
