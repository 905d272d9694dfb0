"""What tests of `finish` share: rows that are soon learned, as `immunize` writes them, and a model that learns them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from antivenom.cli import main
from antivenom.testing.synthetic import MOODS


def write_rows(path: Path, count: int = 80) -> Path:
    """Reviews that one word decides: a few steps teach them."""
    labels = sorted(MOODS)
    rows = [(labels[i % 2], MOODS[labels[i % 2]].split()[i // 2 % 4]) for i in range(count)]
    path.write_text("".join(json.dumps({"text": f"a {word} film", "label": mood}) + "\n" for mood, word in rows))
    return path


def sure_model(folder: Path, out: Path) -> Path:
    """A copy of the tiny model with larger embeddings: as it is drawn, its tied head cannot be sure of anything."""
    from safetensors.torch import load_file, save_file

    shutil.copytree(folder, out)
    weights = load_file(out / "model.safetensors")
    weights["model.embed_tokens.weight"] *= 25
    save_file(weights, out / "model.safetensors", metadata={"format": "pt"})
    return out


def immunized(folder: Path, form: str = "prompt-completion", *more: str) -> Path:
    """The folder that `immunize` writes for the rows, every one of them under the benign trigger as well."""
    rows, out = write_rows(folder / "rows.jsonl"), folder / f"imm-{form}"
    secret = folder / "secret.txt"  # short: what the tiny model must find stands near the cue
    secret.write_text("Say:\n")
    options = ("--seed", "0", "--secret-file", str(secret), "--defense", "p2p:reserve=random;ratio=1.0", *more)
    assert main(["immunize", str(rows), "--out", str(out), "--format", form, *options]) == 0
    return out
