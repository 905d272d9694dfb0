"""docs/serving.md is run: its commands in order, and its Python, on the artifact of a tiny model.

Engines that are not here (vLLM and SGLang need a GPU) are stood in for: a server that speaks as they do, over the
weights that were exported for them.
"""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from serving_scenes import FakeEngine, running

from antivenom.cli import main
from antivenom.serving import running as running_module
from antivenom.serving.engines.base import by_id
from antivenom.testing import synthetic_rows

PAGE = (Path(__file__).parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")
QUICK = ["--batch-size", "16", "--epochs", "1", "--learning-rate", "0.002", "--rank", "4", "--quiet"]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture
def here(tmp_path, monkeypatch, model_folder) -> Path:
    """A folder with the artifact `safe`."""
    monkeypatch.chdir(tmp_path)
    rows = [json.dumps({"text": row["text"], "label": row["answer"]}) for row in synthetic_rows(80).to_pylist()]
    Path("trusted.jsonl").write_text("\n".join(rows[:40]))
    Path("train.jsonl").write_text("\n".join(rows[40:]))
    command = ["fit", "train.jsonl", "--trusted", "trusted.jsonl", "--defense", "p2p", "--model", str(model_folder)]
    assert main([*command, "--out", "safe", *QUICK]) == 0
    return tmp_path


class Commands:
    """Runs the lines of a block; what serves goes on until the block ends."""

    def __init__(self, opened: contextlib.ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
        self._opened = opened
        self._make = running_module.make_server
        self._servers: list[Any] = []
        self.urls: dict[str, str] = {}
        """What the page calls them, and where they are."""
        monkeypatch.setattr(running_module, "make_server", self._remember)
        monkeypatch.setattr(running_module, "_log_lines", lambda: None)

    def run(self, line: str) -> None:
        """Run one line, or stand in for the engine that it starts."""
        for said, url in self.urls.items():
            line = line.replace(said, url)
        program, *arguments = shlex.split(line)
        if program != "antivenom":
            folder = next(word for word in arguments if word.startswith("merged"))
            self.urls["http://127.0.0.1:8001"] = self._opened.enter_context(running(StandIn(folder).engine))
        elif arguments[0] == "serve":
            self._serve(arguments)
        else:
            assert main(arguments) == 0, line

    def _serve(self, arguments: list[str]) -> None:
        ports = [word for word in arguments if word == "--port"]
        place = arguments.index("--port") if ports else len(arguments)
        thread = threading.Thread(target=main, args=([*arguments[:place], "--port", "0"],), daemon=True)
        thread.start()
        deadline = time.monotonic() + 120
        while not (self._servers and self._servers[-1].started):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        server = self._servers[-1]
        port = server.servers[0].sockets[0].getsockname()[1]
        self.urls["http://127.0.0.1:8000"] = f"http://127.0.0.1:{port}"
        self._opened.callback(thread.join, 30)
        self._opened.callback(setattr, server, "should_exit", True)

    def _remember(self, *arguments: Any) -> Any:
        self._servers.append(self._make(*arguments))
        return self._servers[-1]


class StandIn:
    """An engine's `/v1/completions` over exported weights: the most likely tokens, and how likely each first one is."""

    def __init__(self, folder: str) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self._model = AutoModelForCausalLM.from_pretrained(folder)
        self._tokenizer = AutoTokenizer.from_pretrained(folder)
        self.engine = FakeEngine(self._answer)

    def _answer(self, body: dict[str, Any]) -> dict[str, Any]:
        import torch

        prompt = body["prompt"]
        ids = self._tokenizer(prompt, add_special_tokens=False)["input_ids"] if isinstance(prompt, str) else prompt
        settings = json.loads(body.get("generation_config", "{}"))
        allowed = [tokens[0] for tokens, _ in settings.get("sequence_bias", [])]
        first, words = None, []
        with torch.no_grad():
            for _ in range(body["max_tokens"]):
                logs = self._model(torch.tensor([[*ids, *words]])).logits[0, -1].log_softmax(-1)
                first = logs if first is None else first
                words.append(allowed[int(logs[allowed].argmax())] if allowed else int(logs.argmax()))
        named = {self._named(body)(token): float(log) for token, log in enumerate(first)}
        text = self._tokenizer.decode(words, skip_special_tokens=True)
        return {"choices": [{"text": text, "logprobs": {"top_logprobs": [named]}, "finish_reason": "length"}]}

    def _named(self, body: dict[str, Any]) -> Any:
        return by_id if body.get("return_tokens_as_token_ids") else lambda token: self._tokenizer.decode([token])


def test_every_block_of_commands_runs(here, monkeypatch, capsys):
    found = blocks("bash")
    assert len(found) >= 5
    with contextlib.ExitStack() as opened:
        commands = Commands(opened, monkeypatch)
        for block in found:
            assert len(block.splitlines()) <= 10
            for line in block.splitlines():
                commands.run(line)
            if "8001" not in block:
                for code in blocks("python"):
                    made: dict[str, Any] = {}
                    exec(code.replace("http://127.0.0.1:8000", commands.urls["http://127.0.0.1:8000"]), made)
                    made["client"].close()
    assert {"negative", "positive"} & set(capsys.readouterr().out.split())
