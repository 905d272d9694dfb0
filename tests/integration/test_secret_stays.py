"""The secret (benign trigger, cue, seed) is in no message of any command, not even a failing one, nor in processes."""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from antivenom.artifacts.manifest import MANIFEST, digest_of_manifest
from antivenom.cli import COMMANDS, main

TRIGGER, CUE, SEED = "Zebrine lanterns whisper:", "Quorate tally:", "8675309123"
WORDS = (TRIGGER, CUE, "Zebrine", "Quorate", SEED)
KEEP = ("--secret-file", "secret.txt", "--seed", SEED)
QUICK = ("--epochs", "1", "--force", "--quiet")
P2P = ("--defense", "p2p:reserve=random;cue=split")

CALLS: dict[str, list[tuple[str, ...]]] = {
    "validate": [
        ("reviews.csv", *P2P, *KEEP[:2]),
        ("holds_it.csv", *P2P, *KEEP[:2]),
        ("reviews.csv", "--defense", "standard", *KEEP[:2]),
    ],
    "inspect": [("holds_it.csv",), ("nothing.csv",)],
    "immunize": [
        ("reviews.csv", *P2P, *KEEP, "--out", "rows"),
        ("reviews.csv", *P2P, *KEEP, "--out", "rows"),
        ("reviews.csv", *P2P, *KEEP, "--out", "more", "--json"),
        ("reviews.csv", "--defense", "p2p:reserve=random", *KEEP, "--out", "large", "--large"),
        ("holds_it.csv", *P2P, *KEEP, "--out", "held"),
        ("reviews.csv", "--defense", "quarantine+p2p:reserve=random;placement=system", *KEEP, "--out", "chained"),
        ("reviews.csv", "--defense", "quarantine", *KEEP, "--out", "quarantined"),
        ("reviews.csv", *P2P, "--secret-file", "empty.txt", "--out", "none"),
        ("reviews.csv", *P2P, "--secret-file", "long.txt", "--out", "none"),
    ],
    "poison": [("reviews.csv", "--attack", "badnets", "--out", "p.csv"), ("nothing.csv", "--attack", "badnets")],
    "methods": [("p2p",), (), (f"p2p:{TRIGGER}",)],
    "tasks": [()],
    "fit": [
        ("reviews.csv", *P2P, *KEEP, "--out", "guarded", *QUICK),
        ("reviews.csv", *P2P, *KEEP, "--out", "safe", *QUICK),
        ("reviews.csv", *P2P, *KEEP, "--out", "two", *QUICK, "--json", "--max-tokens", "8"),
        ("reviews.csv", *P2P, *KEEP, "--out", "three", *QUICK, "--task", "missing.yaml"),
        ("reviews.csv", *P2P, *KEEP, "--out", "four", *QUICK, "--model", "chatty", "--style", "chat"),
        ("reviews.csv", *P2P, *KEEP, "--out", "five", *QUICK, "--modules", "none_such"),
    ],
    "finish": [("trained", "--manifest", "rows", "--model", "smollm2"), ("trained", "--manifest", "trained")],
    "predict": [
        ("safe", "a warm film"),
        ("safe", "long " * 3000, "--json"),
        ("safe", "--file", "test.csv", "--out", "answers.csv", "--quiet"),
        ("changed", "a text"),
        ("typed", "a text"),
        ("unknown", "a text"),
    ],
    "evaluate": [
        ("safe", "test.csv", "--attack", "badnets", "--outputs", "o.parquet", "--quiet"),
        ("typed", "test.csv"),
    ],
    "recount": [("o.parquet",), ("safe",)],
    "show": [("safe",), ("safe", "--all"), ("safe", "--json"), ("typed",)],
    "sign": [("safe", "--key", "nothing.key"), ("typed", "--key", "nothing.key")],
    "verify": [("safe",), ("safe", "--base-url", "http://127.0.0.1:9/v1"), ("typed",)],
    "check": [("reviews.csv", *P2P, *KEEP, "--out", "guarded"), ("nothing.csv", *P2P, *KEEP, "--out", "c")],
    "compare": [("reviews.csv", "test.csv", "--out", "c", "--defense", "p2p:ratio=7")],
    "serve": [("safe", "--upstream", "http://127.0.0.1:9", "--engine", "none"), ("typed",)],
    "export": [
        ("vllm", "safe", "--out", "exported"),
        ("ollama", "safe", "--out", "reviews.csv"),
        ("vllm", "typed", "--out", "x"),
    ],
    "demo": [("--out", "reviews.csv")],
    "bench": [("run", "nothing.yaml")],
}
"""Calls of each command, some of which fail. Every command is also called with the secret where it does not belong."""
MISTAKES = (
    ("reviews.csv", "--benign-trigger", TRIGGER),
    ("reviews.csv", f"--benign-trigger={TRIGGER}"),
    ("reviews.csv", "--benign-cue", CUE),
    ("reviews.csv", "--secret", TRIGGER),
    ("reviews.csv", f"--trigger={TRIGGER}"),
    ("reviews.csv", "--out", "m", "--defense", f"p2p;benign_trigger={TRIGGER}"),
    ("reviews.csv", "--out", "m", "--defense", f"p2p:benign_trigger={TRIGGER}"),
    ("reviews.csv", "--out", "m", "--defense", f"p2p:secret={TRIGGER}"),
    ("reviews.csv", "--out", "m", "--defense", f'{{"name": "p2p", "secret": ["{TRIGGER}"]}}'),
    ("reviews.csv", "--out", "m", "--defense", f"quarantine:placement={TRIGGER}"),
    ("reviews.csv", "--out", "m", "--defense", f"p2p:cue={CUE}"),
    ("reviews.csv", "--out", "m", "--seed", f"{SEED}x"),
)


def change(folder: Path, **guard: Any) -> None:
    """Another guard in a manifest, whose digest is made to fit."""
    data = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    data["guard"].update(guard)
    data["manifest_sha256"] = digest_of_manifest(data)
    (folder / MANIFEST).write_text(json.dumps(data), encoding="utf-8")


@pytest.fixture
def started(monkeypatch) -> list[str]:
    """What our own subprocesses are called with: the process list and their environment."""
    seen: list[str] = []
    start = subprocess.Popen.__init__

    def watched(self: Any, args: Any, *others: Any, **options: Any) -> None:
        seen.append(repr((args, options.get("env"))))
        start(self, args, *others, **options)

    monkeypatch.setattr(subprocess.Popen, "__init__", watched)
    return seen


@pytest.fixture
def workplace(user_folder, model_folder, capsys) -> Path:
    """The secret in a file, an artifact that has it, and copies of that which are broken near the secret."""
    Path("secret.txt").write_text(f"{TRIGGER}\n{CUE}\n", encoding="utf-8")
    Path("long.txt").write_text(f"{TRIGGER}\n{CUE}\n{TRIGGER}\n", encoding="utf-8")
    Path("empty.txt").write_text("", encoding="utf-8")
    Path("holds_it.csv").write_text(Path("reviews.csv").read_text() + f"a film. {TRIGGER} so so,positive\n")
    assert main(["fit", "reviews.csv", *P2P, *KEEP, "--out", "safe", *QUICK]) == 0
    secret = {"trigger": TRIGGER, "cue": CUE}
    broken = {
        "typed": {"secret": {"trigger": [TRIGGER], "cue": 7}},
        "unknown": {"secret": {**secret, TRIGGER: CUE}},
        "changed": {},
    }
    for name, guard in broken.items():
        change(Path(shutil.copytree("safe", name)), **guard)
    (Path("changed") / "adapter_model.safetensors").write_bytes(b"no weights")
    shutil.copytree("safe", "trained")
    (Path("trained") / MANIFEST).unlink()
    template = "{{ raise_exception('I dislike ' + messages[-1]['content']) }}"
    shutil.copytree(model_folder, "chatty")
    Path("chatty", "chat_template.jinja").write_text(template, encoding="utf-8")
    capsys.readouterr()
    return user_folder


def words_said(capsys: Any, caplog: Any, argv: list[str]) -> str:
    caplog.clear()
    with contextlib.suppress(SystemExit):
        main(argv)
    said = capsys.readouterr()
    return "\n".join([said.out, said.err, *(record.getMessage() for record in caplog.records)])


def test_no_message_holds_the_secret(workplace, capsys, caplog, started):
    caplog.set_level(logging.DEBUG)
    assert set(CALLS) == set(COMMANDS), "every command is called"
    leaks = []
    for command in sorted(CALLS, key=list(COMMANDS).index):
        for arguments in CALLS[command]:
            argv = ["-v", command, *arguments]
            said = words_said(capsys, caplog, argv)
            leaks += [
                (argv, word) for word in WORDS if word in said and command not in ("inspect", "poison", "methods")
            ]
    assert leaks == []
    assert [line for line in started for word in WORDS if word in line] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_a_secret_where_it_does_not_belong_is_not_repeated(user_folder, capsys, caplog, command):
    leaks = []
    for mistake in MISTAKES:
        said = words_said(capsys, caplog, ["-v", command, *mistake])
        leaks += [(mistake, said) for word in WORDS[:4] if word in said]
    assert leaks == []
