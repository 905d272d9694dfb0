"""Scanners of chat templates look at the baked one in a GGUF file. Slow, and only where they are installed.

c4nary looks for constructs that attacks use; ggufdoctor renders the template with Jinja2 and with llama.cpp's engine
and asks whether Ollama would replace it. Put their programs on PATH or in ANTIVENOM_TOOLS.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import gguf
import pytest
from real_engines import program
from serving_scenes import CHAT_LABELS, LABELS, TEXT, guard_of

from antivenom.guards.encoding import make_encoder
from antivenom.serving.gguf_file import with_template
from antivenom.serving.template import bake

pytestmark = pytest.mark.slow
OLLAMA = {"O001", "X003"}
"""Ollama takes the template for one of its own, and would render that one."""


@pytest.fixture(scope="module", params=[LABELS, CHAT_LABELS, TEXT], ids=["plain", "chat", "answers"])
def file(request, tokenizer, tmp_path_factory) -> Path:
    """A GGUF file with the stock template, made anew with the baked one."""
    folder = tmp_path_factory.mktemp("gguf")
    writer = gguf.GGUFWriter(folder / "stock.gguf", "llama")
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokenizer.convert_ids_to_tokens(range(len(tokenizer))))
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_chat_template(tokenizer.chat_template)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    (folder / "baked.jinja").write_text(bake(make_encoder(guard_of(request.param), tokenizer)).text)
    with_template(folder / "stock.gguf", folder / "baked.gguf", folder / "baked.jinja")
    return folder / "baked.gguf"


def ran(tool: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    found = program(tool)
    if found is None:
        pytest.skip(f"{tool} is not on PATH nor in ANTIVENOM_TOOLS")
    return subprocess.run([found, *arguments], capture_output=True, text=True, timeout=300, check=False)


def test_c4nary_sees_no_risk(file):
    done = ran("c4nary", "scan", str(file))
    assert done.returncode == 0
    assert "0 fail, 0 warn" in done.stdout


def errors(file: Path) -> set[str]:
    """What ggufdoctor calls an error."""
    report = file.with_suffix(".json")
    ran("ggufdoctor", str(file), "--json", str(report))
    found: list[dict[str, Any]] = json.loads(report.read_text())["findings"]
    return {one["id"] for one in found if one["severity"] == "error" or one["id"] in OLLAMA}


def test_ggufdoctor_sees_no_error_that_the_stock_template_does_not_have(file):
    assert errors(file) <= errors(file.with_name("stock.gguf")) - OLLAMA
