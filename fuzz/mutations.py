"""Damaged and hostile files of every kind: a result or an error of ours, in 10 s of processor time and 2 GiB each.

    python -m fuzz.mutations --cases 10000               # spread over the kinds
    python -m fuzz.mutations --kind tokenizer --only 17  # one case again, with its traceback

A case starts from a good file and changes it in one to three places: bits, bytes and pieces of it, or what stands in
its structure. Cases run in child processes with limits: one that takes longer is ended by SIGPROF, one that wants more
memory gets a MemoryError; both count as failures, like every exception that is no AntivenomError. A case is known by
its kind and number, whatever ran before it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from fuzz.workshop import Workshop, workshop

SECONDS, BYTES = 10, 2 * 2**30
PATIENCE = 300
"""Seconds of the clock after which a case hangs that takes no processor time."""
BATCH = 250
"""Cases that one process runs."""
ODD: list[Any] = [
    *(None, True, False, 0, 1, -1, 2, 0.5, -0.0, 1e308, 2**31, 2**63, 10**9, 10**30, -(10**18), "", " ", "0", "null"),
    *(
        [],
        {},
        [[]],
        {"a": {}},
        ["a"] * 3,
        [None],
        "\0",
        "\ud800",
        "\u202e",
        "../../etc/passwd",
        "/dev/zero",
        "a" * 10_000,
    ),
    *("{{ 1 }}", "<|im_end|>", "LlamaForCausalLM", "bert", "auto", "((a+)+)+$", "x" * 200, "-1", "1e400", "cuda:7"),
]
PIECES = [
    *(
        b"\0",
        b"\xff",
        b"\xed\xa0\x80",
        b"\r",
        b"\n\n",
        b'"',
        b"'",
        b"{",
        b"}",
        b"[",
        b"]",
        b":",
        b",",
        b"\t",
        b"\\u0000",
    ),
    *(b"[" * 5000, b'{"a":' * 5000, b"1e999", b"NaN", b"-Infinity", b"9" * 5000, b"a" * 100_000, b"\xef\xbb\xbf"),
    *(b"!!python/object/apply:os.system ['true']", b"&a [*a, *a]", b"<<: *a", b"--- \n", b"? ", b"|\n", b"%YAML 9\n"),
]
SNIPPETS = [
    "{% for i in range(10**9) %}{% endfor %}",
    "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
    "{{ 'x' * 10**10 }}",
    "{{ 'x' * 10**7 }}",
    "{{ [1] * 10**10 }}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ cycler.__init__.__globals__.os.popen('true').read() }}",
    "{{ lipsum.__globals__ }}",
    "{{ raise_exception('no') }}",
    "{{ messages[99]['content'] }}",
    "{{ 10**10**8 }}",
    "{{ '%1000000000d' % 1 }}",
    "{{ '{:1000000000}'.format(1) }}",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "{% set x = namespace(a=[]) %}{% for i in range(10**8) %}{% set x.a = x.a + [i] %}{% endfor %}",
    "{% include 'x' %}",
    "{% import 'os' as os %}",
    "{% if %}",
    "{{",
    "{%- endfor %}",
    "{{ messages | tojson }}",
    "{{ messages | map('upper') | list }}",
    "{% generation %}x{% endgeneration %}",
    "<|im_end|>",
    "",
]


def _bytes(rng: Random, data: bytes) -> bytes:
    """Change bytes: flip, cut, insert, double, move."""
    at, end = sorted(rng.randrange(len(data) + 1) for _ in range(2))
    piece = rng.choice([*PIECES, rng.randbytes(rng.randint(1, 8))])
    changed = bytearray(data)
    if changed and rng.random() < 0.35:
        changed[at % len(data)] ^= 1 << rng.randrange(8)
        return bytes(changed)
    after = min(len(data), at + len(piece))
    ways = [data[:at], data[:at] + data[end:], data[:at] + piece + data[at:], data[:end] + data[at:]]
    ways += [data[end:] + data[:at], data[:at] + piece + data[after:], data[:at] + data[at:end] * 3 + data[end:]]
    return rng.choice(ways)


def _within(rng: Random, value: Any) -> Any:
    """Change one place in a JSON value."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key, found = rng.choice(list(value)), dict(value)
        how = rng.random()
        if how < 0.1:
            del found[key]
        elif how < 0.2:
            found[rng.choice(["", "x", "auto_map", "trust_remote_code", "name", key + "s"])] = rng.choice(ODD)
        elif how < 0.25:
            found = {name: found[name] for name in reversed(found)}
        else:
            found[key] = _within(rng, value[key])
        return found
    if isinstance(value, list) and value and rng.random() < 0.85:
        place = rng.randrange(len(value))
        how = rng.random()
        changed = [value[place]] * rng.choice([0, 2, 1000]) if how < 0.3 else [_within(rng, value[place])]
        return [*value[:place], *changed, *value[place + 1 :]]
    if isinstance(value, int | float) and rng.random() < 0.5:
        return rng.choice([value + 1, value - 1, value * 2, -value, value * 1000])
    return rng.choice(ODD)


def _json(rng: Random, data: bytes) -> bytes:
    """Change what stands in a JSON text, or its bytes."""
    if rng.random() < 0.3:
        return _bytes(rng, data)
    with contextlib.suppress(ValueError, RecursionError):
        changed = json.dumps(_within(rng, json.loads(data)), ensure_ascii=rng.random() < 0.5)
        return changed.encode("utf-8", "surrogatepass")
    return _bytes(rng, data)


def _lines(rng: Random, data: bytes) -> bytes:
    """Change a line of JSON, or the bytes."""
    lines = data.split(b"\n")
    place = rng.randrange(len(lines))
    lines[place] = _json(rng, lines[place])
    return b"\n".join(lines) if rng.random() < 0.6 else _bytes(rng, data)


def _template(rng: Random, data: bytes) -> bytes:
    """Put something into a template, or change its bytes."""
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.choice(SNIPPETS).encode() + data[at:] if rng.random() < 0.6 else _bytes(rng, data)


def _header(rng: Random, data: bytes) -> bytes:
    """Change the header of a safetensors file, or its bytes."""
    size = int.from_bytes(data[:8], "little")
    if rng.random() < 0.4 or size > len(data):
        return _bytes(rng, data)
    header = _json(rng, data[8 : 8 + size])
    return len(header).to_bytes(8, "little") + header + data[8 + size :]


@dataclass(frozen=True)
class Kind:
    """Files of one kind."""

    names: tuple[str, ...]
    """The files of the workshop's `cases` folder that are changed, one in each case."""
    change: Callable[[Random, bytes], bytes]
    take: Callable[[Path], object]
    """Takes the file as the program does; it lies in a folder with all that belongs to it."""
    share: float
    """Of all cases."""


def _take_rows(path: Path) -> None:
    from antivenom.core.errors import AntivenomError
    from antivenom.core.report import Report
    from antivenom.data.dialogs import load_dialogs
    from antivenom.data.rows import load_rows
    from antivenom.data.texts import iterate_texts
    from antivenom.data.validation import check_rows

    with contextlib.suppress(AntivenomError):
        list(iterate_texts(str(path)))
    if path.name in ("chats.jsonl", "nested.parquet"):
        load_dialogs(str(path))
        return
    rows = load_rows(str(path))
    check_rows(rows.table, rows.labels, Report())


def _take_yaml(path: Path) -> None:
    from antivenom.cli.settings import expand
    from antivenom.suites.suite import load_suite
    from antivenom.tasks.task_files import load_task

    {"task.yaml": load_task, "suite.yaml": load_suite}.get(path.name, lambda _: expand(["--settings", str(path)]))(
        str(path)
    )


def _take_json(path: Path) -> None:
    from antivenom.artifacts.artifact import load_artifact
    from antivenom.artifacts.manifest import MANIFEST, digest_of_manifest
    from antivenom.core.claims import claim_of
    from antivenom.models.adapter_files import read_adapter_config

    if path.name == MANIFEST:
        load_artifact(path.parent)
    elif path.name == "resealed.json":  # an attacker computes the digest anew
        with contextlib.suppress(ValueError, TypeError, AttributeError, UnicodeDecodeError, RecursionError):
            data = json.loads(path.read_bytes())
            path.with_name(MANIFEST).write_text(json.dumps({**data, "manifest_sha256": digest_of_manifest(data)}))
        artifact = load_artifact(path.parent)
        artifact.guard.wrap("a film")
        artifact.verify(model=str(path.parent / "model"))
    elif path.name == "adapter_config.json":
        read_adapter_config(path.parent, ["model.layers.0.self_attn.q_proj", "model.layers.1.mlp.up_proj"])
    else:
        claim_of(path.parent)


def _take_outputs(path: Path) -> None:
    from antivenom.evaluation.recount import read_outputs

    if path.name == "outputs.parquet":
        read_outputs(path).evaluation()
    else:
        _take_rows(path)


def _take_tokenizer(path: Path) -> None:
    from antivenom.guards.encoding import make_encoder
    from antivenom.models.tokenizer import load_tokenizer
    from antivenom.tasks.task import Classification, Frame

    tokenizer = load_tokenizer(path.parent)
    from antivenom.defenses.p2p import P2P

    for style in ("plain", "chat"):
        task = Classification.for_labels(("negative", "positive"), frame=Frame(style=style))
        guard = P2P().guard(task, 0)
        encoder = make_encoder(guard, tokenizer)
        encoder.renderer.rendered([guard.wrap("a warm <|im_end|> film"), guard.wrap("")])


def _take_model(path: Path) -> None:
    from antivenom.models.base_model import locate_model
    from antivenom.models.local import LocalModel, load_causal_lm

    locate_model(str(path.parent))
    LocalModel(load_causal_lm(path.parent)).score([[1, 2, 3]], [(4,), (5,)])


def _take_adapter(path: Path) -> None:
    from antivenom.models.adapters import load_adapter
    from antivenom.models.local import LocalModel, load_causal_lm

    LocalModel(load_adapter(load_causal_lm(path.parent / "model"), path.parent)).score([[1, 2, 3]], [(4,), (5,)])


def _take_keys(path: Path) -> None:
    from antivenom.artifacts.signature import PublicKey, SecretKey, require_signed

    require_signed(path.parent, path.parent / "key.pub")
    PublicKey.read(path.parent / "key.pub")
    SecretKey.read(path.parent / "key", lambda: "")


KINDS = {
    "delimited rows": Kind(("rows.csv", "rows.tsv"), _bytes, _take_rows, 0.12),
    "JSON rows": Kind(("rows.jsonl", "rows.json", "chats.jsonl"), _lines, _take_rows, 0.14),
    "YAML": Kind(("task.yaml", "suite.yaml", "settings.yaml"), _bytes, _take_yaml, 0.12),
    "JSON": Kind(
        ("antivenom.json", "resealed.json", "adapter_config.json", ".antivenom-folder.json"), _json, _take_json, 0.14
    ),
    "Parquet": Kind(("rows.parquet", "nested.parquet", "outputs.parquet"), _bytes, _take_outputs, 0.12),
    "tokenizer": Kind(("tokenizer.json", "tokenizer_config.json"), _json, _take_tokenizer, 0.10),
    "template": Kind(("chat_template.jinja",), _template, _take_tokenizer, 0.08),
    "config": Kind(("config.json",), _json, _take_model, 0.06),
    "weights": Kind(("model.safetensors",), _header, _take_model, 0.04),
    "adapter": Kind(("adapter_config.json", "adapter_model.safetensors"), _header, _take_adapter, 0.04),
    "signature": Kind(("antivenom.json.minisig", "key.pub", "key"), _bytes, _take_keys, 0.04),
}


def prepare(shop: Workshop) -> Path:
    """A folder with a good file of every name."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = shop.root / "cases"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(shop.bench / "signed", folder)
    for name in ("config.json", "model.safetensors"):
        shutil.copy(shop.bench / "model" / name, folder)
    shutil.copytree(shop.bench / "model", folder / "model")
    for name in ("rows.csv", "outputs.parquet", "suite.yaml", "key", "key.pub"):
        shutil.copy(shop.bench / name, folder)
    shutil.copy(folder / "antivenom.json", folder / "resealed.json")
    lines = (folder / "rows.csv").read_text(encoding="utf-8").splitlines()[:40]
    rows = [dict(zip(("text", "label"), line.rsplit(",", 1), strict=True)) for line in lines[1:]]
    chats = [
        {"messages": [{"role": "user", "content": r["text"]}, {"role": "assistant", "content": r["label"]}]}
        for r in rows
    ]
    texts = {
        "rows.csv": "\n".join(lines),
        "rows.tsv": "\n".join("\t".join(line.rsplit(",", 1)) for line in lines),
        "rows.json": json.dumps(rows),
        "rows.jsonl": "\n".join(map(json.dumps, rows)),
        "chats.jsonl": "\n".join(map(json.dumps, chats)),
        "task.yaml": "labels: [negative, positive]\ntext_column: text\ninstruction: Judge.\nmax_tokens: 128\n",
        "settings.yaml": "learning_rate: 2e-3\nepochs: 1\nattack: [badnets, addsent]\nquiet: true\n",
        ".antivenom-folder.json": '{"antivenom": 1, "what": "fit", "settings": "0"}',
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
    pq.write_table(pa.Table.from_pylist(rows), folder / "rows.parquet")
    pq.write_table(pa.Table.from_pylist(chats), folder / "nested.parquet")
    return folder


def run_case(name: str, number: int, good: Path, scratch: Path) -> None:
    """Make a case and take it; raises what the program raises. Negative numbers are the files as they are."""
    kind, rng = KINDS[name], Random(f"{name}:{number}")
    changed = kind.names[~number] if number < 0 else rng.choice(kind.names)
    data = (good / changed).read_bytes()
    for _ in range(rng.randint(1, 3) if number >= 0 else 0):
        data = kind.change(rng, data)
    (scratch / changed).write_bytes(data)
    try:
        kind.take(scratch / changed)
    finally:
        for again in {changed, "antivenom.json"}:
            shutil.copy(good / again, scratch / again)


def _limit() -> None:
    used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[5]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_DATA, (used + BYTES, used + BYTES))


def _work(name: str, numbers: Sequence[int], good: Path, scratch: Path, told: int) -> None:
    """Run cases in this process, and tell what came of each."""
    from antivenom.core.errors import AntivenomError

    warnings.simplefilter("ignore")
    for number in numbers:
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        begun = time.process_time()
        try:
            run_case(name, number, good, scratch)
            what = "result"
        except AntivenomError as error:
            what = (
                f"error {type(error).__name__}" if error.what.strip() and error.what.isprintable() else "SAYS NOTHING"
            )
        except BaseException as error:
            at = traceback.extract_tb(error.__traceback__)
            ours = [f"{Path(frame.filename).name}:{frame.lineno}" for frame in at if "antivenom" in frame.filename]
            what = f"RAISED {type(error).__name__}: {str(error)[:200]!r} at {' '.join(ours[-3:])}"
        signal.setitimer(signal.ITIMER_PROF, 0)
        os.write(told, json.dumps([number, what, time.process_time() - begun]).encode() + b"\n")


def _child(name: str, numbers: Sequence[int], good: Path, scratch: Path) -> tuple[int, int]:
    """Start a process that runs cases; returns its number, and where it tells what came of them."""
    mine, told = os.pipe()
    pid = os.fork()
    if pid:
        os.close(told)
        return pid, mine
    try:
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(nothing, stream)
        os.environ["TMPDIR"], tempfile.tempdir = str(scratch), None
        _limit()
        _work(name, numbers, good, scratch / "files", told)
    finally:
        os._exit(0)


def run_kind(name: str, numbers: Sequence[int], good: Path, root: Path) -> Counter[str]:
    """Run the cases of a kind; returns how many there were of each outcome."""
    outcomes, slowest, left = Counter[str](), 0.0, list(numbers)
    scratch = root / "scratch"
    while left:
        shutil.rmtree(scratch, ignore_errors=True)
        shutil.copytree(good, scratch / "files")
        pid, pipe = _child(name, left[:BATCH], good, scratch)
        done = 0
        for line in _told(pid, pipe):
            number, what, seconds = json.loads(line)
            done, slowest = done + 1, max(slowest, seconds)
            if not what.startswith(("result", "error")):
                print(f"FAILED {name} {number}: {what}", flush=True)
                what = "failures"
            outcomes[what] += 1
        ended = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if done < len(left[:BATCH]):
            why = {-signal.SIGPROF: f"more than {SECONDS} s", -signal.SIGKILL: "a hang"}.get(
                ended, f"ended with {ended}"
            )
            print(f"FAILED {name} {left[done]}: {why}", flush=True)
            outcomes["failures"] += 1
            done += 1
        left = left[done:]
    print(
        f"{name}: {sum(outcomes.values())} cases: {dict(sorted(outcomes.items()))}; slowest {slowest:.1f} s", flush=True
    )
    return outcomes


def _told(pid: int, pipe: int) -> Iterator[str]:
    """The lines that a process tells; one that tells nothing for too long is ended."""
    with os.fdopen(pipe, "rb", buffering=0) as told:
        left = b""
        while True:
            if not select.select([told], [], [], PATIENCE)[0]:
                os.kill(pid, signal.SIGKILL)
            piece = told.read(65536)
            if not piece:
                return
            *lines, left = (left + piece).split(b"\n")
            yield from (line.decode() for line in lines)


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 where nothing failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--part", type=int, default=0, help="the same number of other cases, counted from 0")
    parser.add_argument("--kind", nargs="+", metavar="KIND", default=list(KINDS), choices=KINDS)
    parser.add_argument("--only", type=int, help="run this case alone, without limits, and show what it raises")
    parser.add_argument("--workshop", metavar="FOLDER", help="make it here, and use it again")
    given = parser.parse_args(argv)
    with workshop(given.workshop) as shop:
        good, total = prepare(shop), Counter[str]()
        if given.only is not None:
            run_case(
                given.kind[0], given.only, good, Path(shutil.copytree(good, shop.root / "one", dirs_exist_ok=True))
            )
            return 0
        for name in given.kind:
            count = max(1, round(given.cases * KINDS[name].share))
            whole = run_kind(name, range(-len(KINDS[name].names), 0), good, shop.root)
            if set(whole) != {"result"}:
                raise SystemExit(f"{name}: what is changed is refused as it is: {dict(whole)}")
            total.update(run_kind(name, range(given.part * count, (given.part + 1) * count), good, shop.root))
    print(f"{sum(total.values())} cases, {total['failures']} failures")
    return int(bool(total["failures"]))


if __name__ == "__main__":
    sys.exit(main())
