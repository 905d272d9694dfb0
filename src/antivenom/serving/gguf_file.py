"""GGUF files for llama.cpp and Ollama: made by llama.cpp's own converter, or an existing one with another template."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from antivenom.core.errors import AntivenomError, MissingPackageError
from antivenom.core.intake import require_regular

CONVERTER = "convert_hf_to_gguf.py"
SECONDS = 3600


def convert(folder: Path, out: Path, *, llama_cpp: Path, kind: str = "f16") -> None:
    """Convert merged weights with the converter of a llama.cpp checkout; it takes `chat_template.jinja` along.

    Args:
        folder: Merged weights with tokenizer and template.
        out: The GGUF file to write.
        llama_cpp: The checkout.
        kind: How numbers are stored: f32, f16, bf16, q8_0.

    Raises:
        AntivenomError: there is no converter, a package that it needs is missing, or it fails.
    """
    _require("sentencepiece", "`pip install sentencepiece`")
    script = require_regular(llama_cpp / CONVERTER)
    _run([sys.executable, str(script), str(folder.resolve()), "--outfile", str(out.resolve()), "--outtype", kind], out)


def with_template(source: Path, out: Path, template: Path) -> None:
    """Copy a GGUF file with another chat template; the weights are not touched.

    Raises:
        AntivenomError: the package `gguf` is missing, or cannot read the file.
    """
    _require("gguf", "`pip install 'antivenom[serve]'`")
    source = require_regular(source)
    module = [sys.executable, "-P", "-m", "gguf.scripts.gguf_new_metadata"]
    _run([*module, str(source), str(out), "--chat-template-file", str(template), "--force"], out)


def _require(package: str, command: str) -> None:
    from importlib.util import find_spec

    if find_spec(package) is None:
        raise MissingPackageError(f"making a GGUF file needs the package {package}", mend=f"Run {command}.")


def _run(command: list[str], out: Path) -> None:
    """Run a tool; what it wrote can be read by its owner alone, since the template in it holds the benign trigger."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise AntivenomError(f"{out} was not finished within {SECONDS} s") from None
    if done.returncode or not out.exists():
        said = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise AntivenomError(f"{out} could not be made: {said}", mend=f"The command was: {' '.join(command)}")
    out.chmod(0o600)
