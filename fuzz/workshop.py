"""A folder with everything that commands take, made once and copied for each run; and the commands."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fuzz import forked

from antivenom.testing import synthetic_rows, tiny_model

SEED = ["--seed", "1"]
RECIPE = ["--model", "model", "--epochs", "2", "--learning-rate", "1e-2", "--save-every", "2", "--quiet", *SEED]
P2P = ["--defense", "p2p:reserve=random"]
WORDS = "Lately the plain memo of one minor clerk says:"
"""The benign trigger of the artifacts here."""


@dataclass(frozen=True)
class Command:
    """A command in the workshop."""

    words: tuple[str, ...]
    makes: tuple[str, ...] = ()
    """Beginnings of the names, relative to the workshop, of all that it may make or change."""
    ends: tuple[int, ...] = (0,)
    """Exit codes of an undisturbed run."""
    port: int = 0
    """Where it answers until it is told to end; 0 of commands that end by themselves."""


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _made(line: str, *makes: str, ends: tuple[int, ...] = (0,), more: list[str] | None = None) -> Command:
    return Command((*line.split(), *(more or [])), makes, ends)


CHECK = "check rows.csv --test test.csv --out out --families word --defense none"
KILLED = {
    "fit": _made("fit rows.csv --out out --secret-file secret.txt", "out", more=[*P2P, *RECIPE]),
    "standard": _made("fit rows.csv --out out", "out", more=RECIPE),
    "immunize": _made("immunize rows.csv --out out", "out", more=[*P2P, *SEED]),
    "immunize --large": _made("immunize many.csv --large --out out", "out", more=[*P2P, *SEED]),
    "immunize --referee": _made("immunize rows.csv --referee model --out out", "out", more=RECIPE[2:-3] + SEED),
    "predict --out": _made("predict safe --file rows.csv --out out.jsonl --quiet", "out.jsonl"),
    "finish": _made("finish trained --manifest immunized --model model", "trained"),
    "finish --out": _made("finish trained --manifest immunized --model model --out out", "out"),
    "compare": _made("compare rows.csv test.csv --out out --defense none", "out", more=RECIPE),
    "check": _made(CHECK, "out", ends=(0, 1, 3), more=RECIPE),
}
"""Commands whose work can be interrupted."""
OTHERS = {
    "validate": _made("validate rows.csv"),
    "inspect": _made("inspect rows.csv"),
    "poison": _made("poison rows.csv --attack badnets:rate=0.1 --out out.csv", "out.csv"),
    "methods": _made("methods"),
    "tasks": _made("tasks"),
    "predict": _made("predict safe --quiet", more=["a warm film"]),
    "evaluate": _made("evaluate safe test.csv --attack badnets --outputs out.parquet --quiet", "out.parquet"),
    "recount": _made("recount outputs.parquet --picture out.html", "out.html"),
    "show": _made("show safe"),
    "sign": _made("sign safe --key out.key --new-key", "out", "safe/antivenom.json.minisig"),
    "verify": _made("verify signed --key key.pub"),
    "export": _made("export vllm safe --out out", "out"),
    "check --report": _made(f"{CHECK} --report out.md --junit out.xml", "out", ends=(0, 1, 3), more=RECIPE),
    "demo": _made("demo --out out --train-rows 60 --test-rows 20 --quiet", "out"),
    "bench run": _made("bench run suite.yaml --out out", "out"),
    "bench report": _made("bench report ran --out out", "out"),
}
PORT = _free_port()
SERVED = {"serve": Command(("serve", "safe", "--port", str(PORT)), ends=(143,), port=PORT)}
"""Commands that stay until SIGTERM ends them."""
COMMANDS = KILLED | OTHERS | SERVED
SUITE = """\
about: one cell
tasks: {made up: {train: "synthetic:60", test: "synthetic:30", target: positive}}
models: {tiny: tiny}
attacks: {BadNets: "badnets:rate=0.1"}
defenses: {undefended: none}
recipes: {short: {learning_rate: 0.01, batch_size: 32, epochs: 1}}
seeds: [0]
"""
VARYING = ("seconds", "since", "command")
"""Ends of keys in JSON whose values differ between any two runs."""
DRAWN = (".minisig", ".key", ".pub")
"""Ends of files that do: a new key is random, and a signature says when it was made."""


class Workshop:
    """Makes the folder, and copies of it."""

    def __init__(self, root: Path) -> None:
        """Fill a new folder, or take one that was filled; the libraries are loaded with a home in it."""
        self.root, self.home, self.bench = root, root / "home", root / "workshop"
        self.said = root / "said"
        self.home.mkdir(parents=True, exist_ok=True)
        forked.load(self.home)
        if not self.bench.exists():
            self._fill()

    def fresh(self, place: Path | None = None) -> Path:
        """A copy, always of the same name: manifests name the folder of the base model."""
        place = place or self.root / "place"
        if place.exists():
            shutil.rmtree(place)
        return self.fill(place)

    def fill(self, place: Path) -> Path:
        """Copy everything to a folder."""
        return Path(shutil.copytree(self.bench, place, dirs_exist_ok=True))

    def run(self, command: Command, place: Path, **options: object) -> forked.Ended:
        """Run a command to its end."""
        return forked.run(command.words, place, self.said, **options)

    def start(self, command: Command, place: Path, said: str = "said", **options: Any) -> forked.Child:
        """Start a command."""
        return forked.start(command.words, place, self.root / said, **options)

    def clear_temporary(self) -> None:
        """Empty the temporary folder of commands."""
        shutil.rmtree(self.said / "tmp")

    def _fill(self) -> None:
        place = self.root / "place"
        place.mkdir()
        rows = synthetic_rows(120).to_pylist()
        parts = {"rows.csv": rows[:80], "test.csv": rows[80:], "many.csv": rows[:80] * 100}
        for name, part in parts.items():
            with (place / name).open("w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows([("text", "label"), *((row["text"], row["answer"]) for row in part)])
        (place / "secret.txt").write_text(f"{WORDS}\nSettled verdict:\n", encoding="utf-8")
        (place / "secret.txt").chmod(0o600)
        (place / "suite.yaml").write_text(SUITE, encoding="utf-8")
        self._in_child(lambda: tiny_model(place / "model"))
        self._in_child(lambda: tiny_model(self.root / "embedded", layers=8))
        self._keep_as_embedded(self.root / "embedded")
        immunize = (*KILLED["immunize"].words, "--secret-file", "secret.txt")
        for words, made, name in (
            (KILLED["fit"].words, "out", "safe"),
            (immunize, "out", "immunized"),
            (OTHERS["evaluate"].words, "out.parquet", "outputs.parquet"),
            (OTHERS["bench run"].words, "out", "ran"),
        ):
            self._make(words, place)
            (place / made).rename(place / name)
        for name in ("trained", "signed"):
            shutil.copytree(place / "safe", place / name)
        for name in ("antivenom.json", "decisions.csv"):
            (place / "trained" / name).unlink()
        self._make(("sign", "signed", "--key", "key", "--new-key"), place)
        place.rename(self.bench)

    def _make(self, words: tuple[str, ...], place: Path) -> None:
        ended = forked.run(words, place, self.said)
        if ended.code:
            raise SystemExit(f"{' '.join(words)}: {ended.err}")

    def _keep_as_embedded(self, model: Path) -> None:
        """Put the tiny model where the embedded one would be converted to."""
        from antivenom.models import embedded

        name = f"smollm2-135m-{embedded.GGUF_SHA256[:12]}"
        kept = Path(shutil.copytree(model, self.home / ".cache" / "antivenom" / "models" / name))
        (kept / embedded.NOTE).write_text(embedded._digest_of(kept), encoding="utf-8")

    @staticmethod
    def _in_child(work: Callable[[], object]) -> None:
        """Do something in a child, so that this process starts no threads."""
        pid = os.fork()
        if not pid:
            try:
                os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
                work()
            finally:
                os._exit(0)
        os.waitpid(pid, 0)


@contextlib.contextmanager
def workshop(kept: str | None = None) -> Iterator[Workshop]:
    """A workshop in the folder `kept`, or in a temporary one, which the process that made it removes."""
    if kept:
        yield Workshop(Path(kept).resolve())
        return
    folder = Path(tempfile.mkdtemp(prefix="workshop-")).resolve()
    folder.chmod(0o755)  # commands run as other users too
    try:
        yield Workshop(folder)
    finally:  # a child never comes here
        shutil.rmtree(folder)


def steady(value: Any) -> Any:
    """JSON without what differs between any two runs."""
    if isinstance(value, dict):
        return {key: steady(one) for key, one in value.items() if not key.endswith(VARYING)}
    return [steady(one) for one in value] if isinstance(value, list) else value


def outcome(folder: Path) -> dict[str, Any]:
    """Every file by its path, hidden ones and leftovers included."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            data = b"drawn" if path.suffix in DRAWN else path.read_bytes()
            found[str(path.relative_to(folder))] = steady(json.loads(data)) if path.suffix == ".json" else data
    return found


def differences(found: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    """The names of files that are too many, missing or other."""
    return sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
