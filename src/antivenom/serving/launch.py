"""How each engine is started on what was exported, so that none of its own ways around the guard is open."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Literal

from antivenom.core.errors import OptionsError

ExportFormat = Literal["transformers", "vllm", "sglang", "llamacpp", "ollama"]
GGUF_FORMATS = ("llamacpp", "ollama")


def launch_line(engine: ExportFormat, folder: Path, name: str, *, parses: bool, gguf: str = "") -> str:
    """The command that serves an export on this machine alone.

    Args:
        engine: The engine.
        folder: The exported folder.
        name: What clients call the model.
        parses: Whether the folder has a `response_template`, which takes the answer prefix off.
        gguf: The name of the GGUF file in the folder, for engines that read one.
    """
    parser = {"vllm": ["--reasoning-parser", "hf"], "sglang": ["--reasoning-parser", "response_template"]}
    template = str(folder / "chat_template.jinja")
    words: dict[ExportFormat, list[str]] = {
        "transformers": ["transformers", "serve", str(folder), "--host", "127.0.0.1", "--port", "8001"],
        "vllm": ["vllm", "serve", str(folder), "--served-model-name", name, "--host", "127.0.0.1", "--port", "8001",
                 "--chat-template", template, "--generation-config", "vllm"],
        "sglang": ["python", "-m", "sglang.launch_server", "--model-path", str(folder), "--served-model-name", name,
                   "--host", "127.0.0.1", "--port", "8001", "--chat-template", template],
        "llamacpp": ["llama-server", "--model", str(folder / gguf), "--alias", name, "--host", "127.0.0.1", "--port",
                     "8001", "--jinja", "--chat-template-file", template, "--no-slots"],
        "ollama": ["ollama", "create", name, "--file", str(folder / "Modelfile")],
    }  # fmt: skip
    return shlex.join(words[engine] + (parser.get(engine, []) if parses else []))


def modelfile(gguf: str, prompt: str, mark: str, stop: str, longest: int) -> str:
    """An Ollama Modelfile with an explicit template.

    Ollama replaces a GGUF's own template by one of its own that looks much like it, the guard lost; an explicit one it
    keeps. It is written in Go's language and holds for one user turn at a time.

    Args:
        gguf: The name of the GGUF file.
        prompt: The guarded prompt of a text `mark`.
        mark: The text.
        stop: The token that ends an answer.
        longest: Tokens of the longest prompt and answer.

    Raises:
        OptionsError: one of them would end its string and begin an instruction of its own.
    """
    if '"""' in prompt or '"' in stop or not stop.isprintable():
        raise OptionsError(
            "a Modelfile cannot hold this guard: its prompt has three quotation marks, or its end token has one",
            mend="Serve the artifact with another engine.",
        )
    before, _, after = prompt.partition(mark)
    template = f"{_go(before)}{{{{ .Prompt }}}}{_go(after)}{{{{ .Response }}}}"
    lines = [
        f"FROM ./{gguf}",
        f'TEMPLATE """{template}"""',
        f'PARAMETER stop "{stop}"',
        "PARAMETER temperature 0",
        f"PARAMETER num_ctx {longest}",
    ]
    return "\n".join(lines) + "\n"


def _go(text: str) -> str:
    """Text inside a Go template: braces that would begin an action are written as one."""
    return text.replace("{{", '{{ "{{" }}')
