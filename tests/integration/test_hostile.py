"""Generated hostile inputs: each gives a result that adds up or an AntivenomError, nothing else; no row is lost."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from antivenom.artifacts.artifact import load_artifact
from antivenom.artifacts.manifest import FORMAT_VERSION, MANIFEST, digest_of_manifest
from antivenom.attacks import parse_attack
from antivenom.core.errors import AntivenomError
from antivenom.data.rows import load_rows, table_of
from antivenom.data.validation import check_rows, require_labels
from antivenom.defenses import parse_defense
from antivenom.defenses.p2p import P2P
from antivenom.tasks.task import Classification, Frame
from antivenom.testing import StandInLab
from antivenom.training.training_options import TrainingOptions

ODD_TEXTS = [
    "", " ", "\0", "a\0b", "\ufeff", "\ud800", "x\udfff", "\r", "a\rb", "a\r\nb", "\n", "\t", '"', '""', "'", ",", "\\",
    "NaN", "null", "1e400", "007", "-1", "0", "1", "true", "𝒳" * 3, "e\u0301", "\u202eabc", "\x1b[2J", "\x85", "\u2028",
    "<|im_end|>", "The query currently entered is: x", "a" * 5000, "=cmd()", "{", "[", "a;b=c", "İ", "ß", "\u200b",
]  # fmt: skip
ODD_VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 2**63, 10**30, -(10**18), 1.5, 1e308, float("inf"), float("nan"), -0.0, [], ["a"], {},
    {"a": {"b": [1]}}, [[[[]]]],
]  # fmt: skip
ODD_LINES = ["[" * 100_000, '{"text": ' + "1" * 4400 + "}", "[]", "3", '""', "nul", '{"text": "a", "text": 1}', "{}"]
ODD_LINES += ['{"text": "a", "label": 1e400}', '{"text": "a", "label": -Infinity}', '{"a": {"b": ' + '{"a":' * 5000]
ODD_BYTES = [b"\0", b"\r", b'"', b"\xff", b"\xc3", b"\n\n", b"\xed\xa0\x80"]
LABELS = ["negative", "positive", "Negative", "0", "1", 0, 1]


def odd(rng: Random) -> Any:
    return rng.choice(ODD_TEXTS) if rng.random() < 0.6 else rng.choice(ODD_VALUES)


def record(rng: Random) -> dict[str, Any]:
    found: dict[str, Any] = {"text": f"some words {rng.randint(0, 9)}", "label": rng.choice(LABELS[:2])}
    if rng.random() < 0.3:
        found[rng.choice(["text", "label", "extra", "", "Text"])] = odd(rng)
    if rng.random() < 0.05:
        found.pop(rng.choice(["text", "label"]))
    if rng.random() < 0.2:
        found["label"] = rng.choice(LABELS)
    return found


def damage(rng: Random, content: bytes) -> bytes:
    """Break bytes in one of the ways in which files break."""
    at = rng.randint(0, len(content))
    return rng.choice(
        [
            lambda: content,
            lambda: content[:at],
            lambda: content[:at] + bytes(rng.randrange(256) for _ in range(rng.randint(1, 9))) + content[at:],
            lambda: content[:at] + rng.choice(ODD_BYTES) + content[at:],
            lambda: b"\xef\xbb\xbf" + content,
            lambda: content.decode("utf-8", "replace").encode(rng.choice(["utf-16", "utf-16-le", "utf-32"])),
            lambda: content.replace(b"\n", rng.choice([b"\r", b"\r\n", b"\n\n", b""])),
            lambda: content * rng.randint(0, 3),
            lambda: content[at:] + content[:at],
        ]
    )()  # fmt: skip


def as_jsonl(rng: Random, records: list[dict[str, Any]]) -> bytes:
    lines = [json.dumps(r, ensure_ascii=rng.random() < 0.7) for r in records]
    if rng.random() < 0.2:
        lines.insert(rng.randint(0, len(lines)), rng.choice(ODD_LINES))
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def as_delimited(rng: Random, records: list[dict[str, Any]], delimiter: str) -> bytes:
    columns = rng.choice([["text", "label"]] * 6 + [["text", "text"], ["text"], ["TEXT", " label "], ["", "label"]])
    lines = [columns]
    for row in records:
        lines.append([str(row.get("text")), str(row.get("label"))][: len(columns) if rng.random() < 0.97 else 1])
    end = rng.choice(["\n", "\r\n"])
    if rng.random() < 0.3:
        return "".join(delimiter.join(cells) + end for cells in lines).encode("utf-8", "surrogatepass")
    out = io.StringIO()
    quoting: Any = rng.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
    csv.writer(out, delimiter=delimiter, quoting=quoting, lineterminator=end).writerows(lines)
    return out.getvalue().encode("utf-8", "surrogatepass")


def as_parquet(rng: Random, records: list[dict[str, Any]]) -> bytes:
    texts = [str(r.get("text", "")).encode("utf-8", "replace").decode() for r in records]
    numbers = [rng.randrange(-(2**40), 2**62) for _ in records]
    columns: list[Callable[[], Any]] = [
        lambda: pa.array(texts),
        lambda: pa.array(texts, pa.large_string()),
        lambda: pa.array(texts).dictionary_encode(),
        lambda: pa.array([t.encode() for t in texts]),
        lambda: pa.array([[t] for t in texts]),
        lambda: pa.array([{"a": t} for t in texts], pa.struct([("a", pa.string())])),
        lambda: pa.array(numbers, pa.timestamp(rng.choice(["ms", "us", "ns"]))),
        lambda: pa.array(numbers, pa.duration("us")),
        lambda: pa.array([n % 2**31 for n in numbers], pa.date32()),
        lambda: pa.array([n % 2**31 / 7 for n in numbers], pa.float16() if rng.random() < 0.3 else pa.float64()),
        lambda: pa.nulls(len(texts)),
        lambda: pa.array([None if rng.random() < 0.3 else t for t in texts], pa.string()),
    ]
    text = columns[0]() if rng.random() < 0.5 else rng.choice(columns)()
    label = rng.choice(
        [pa.array([rng.choice(["a", "b"]) for _ in texts], pa.string()), pa.array([n % 2 for n in numbers])]
    )
    table = pa.table([text, label], names=["text", rng.choice(["label", "label", "label", "text"])])
    if rng.random() < 0.3:
        feature = {"_type": "ClassLabel", "names": rng.choice([["x", "y"], [odd(rng)], "xy", None, ["a", "a"]])}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": {"label": feature}}})})
    out = io.BytesIO()
    pq.write_table(table, out, row_group_size=max(1, len(texts) // 2))
    return out.getvalue()


def rows_case(rng: Random, folder: Path) -> None:
    records = [record(rng) for _ in range(rng.randint(0, 12))]
    form = rng.choice(["jsonl", "csv", "tsv", "parquet", "memory"])
    labels = rng.choice([None, None, ["negative", "positive"], ["a", "b"], ["1", "2"]])
    count: int | None = None
    source: Any = folder / f"rows.{form}"
    if form == "memory":
        source, count = records, len(records)
    else:
        makers = {"jsonl": as_jsonl, "parquet": as_parquet}
        content = makers[form](rng, records) if form in makers else as_delimited(rng, records, ",\t"[form == "tsv"])
        broken = damage(rng, content) if rng.random() < 0.6 else content
        count = len(records) if broken == content and form == "parquet" else None
        if form == "jsonl":
            count = sum(bool(line.strip()) for line in broken.decode("utf-8", "replace").split("\n"))
        source.write_bytes(broken)
    rows = load_rows(source, labels=labels)
    kept = rows.report.kept
    assert kept == rows.table.num_rows
    assert count is None or rows.report.read == count, "a row was lost"
    numbers = rows.table.column("row").to_pylist()
    assert numbers == sorted(set(numbers))
    assert not numbers or numbers[-1] <= rows.report.read
    str(rows.report).encode("utf-8")
    json.dumps(rows.report.to_dict())
    require_labels(rows.labels)
    table = check_rows(rows.table, rows.labels, rows.report)
    assert rows.report.kept == table.num_rows
    assert rows.report.read == kept + rows.report.refused - (kept - table.num_rows)
    use(rng, table, rows.labels)


def use(rng: Random, table: pa.Table, labels: tuple[str, ...]) -> None:
    """Go on with the rows that were kept, as `fit` would."""
    task = Classification.for_labels(labels)
    poisoned = parse_attack(rng.choice(["badnets", "addsent"])).poison(task, table, seed=rng.randrange(2**32))
    defense = P2P(reserve="random", mode=rng.choice(["union", "replace"]))
    prepared = defense.prepare(task, poisoned.rows, trusted=None, lab=StandInLab(0))
    assert prepared.rows.filter(pa.compute.invert(prepared.rows["benign"])).num_rows <= table.num_rows
    assert set(prepared.rows["row"].to_pylist()) == set(table["row"].to_pylist())
    for text in table["text"].to_pylist():
        text.encode("utf-8")
        assert text.strip()
        assert "\0" not in text


# ---------------------------------------------------------------------------------------------------------- manifests


def paths_in(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [path] + [p for key, value in items for p in paths_in(value, (*path, key))]


def mutate(rng: Random, data: Any) -> Any:
    path = rng.choice(paths_in(data)[1:])
    holder = data
    for key in path[:-1]:
        holder = holder[key]
    kind = rng.random()
    if kind < 0.6:
        holder[path[-1]] = odd(rng)
    elif kind < 0.75:
        del holder[path[-1]]
    elif isinstance(holder, dict):
        holder[rng.choice(["extra", "__class__", "format_version", ""])] = odd(rng)
    else:
        holder.append(odd(rng))
    return data


def manifest_case(rng: Random, folder: Path) -> None:
    task = Classification.for_labels(("negative", "positive"), frame=Frame(instruction="Judge."))
    data = {
        "format_version": FORMAT_VERSION,
        "guard": P2P(cue="split").guard(task, 0).to_dict(),
        "base_model": {"id": "smollm2", "revision": "", "sha256": "0" * 64},
        "reserve": {"policy": "trusted", "rows": 3},
        "data": {},
        "training": {"rank": 16},
        "seed": 0,
        "versions": {"torch": "2"},
    }
    data = json.loads(json.dumps(data))
    for _ in range(rng.randint(0, 3)):
        data = mutate(rng, data)
    with contextlib.suppress(ValueError):  # what is not finite has no digest
        data["manifest_sha256"] = digest_of_manifest(data)
    content = json.dumps(data).encode("utf-8", "surrogatepass")
    (folder / MANIFEST).write_bytes(damage(rng, content) if rng.random() < 0.3 else content)
    artifact = load_artifact(folder)
    guard = artifact.guard
    assert type(guard).from_dict(guard.to_dict()) == guard
    for label in guard.task.labels:
        assert guard.labels.meaning[guard.labels.choices.index(guard.labels.encode(label))] in range(
            len(guard.task.labels)
        )
    assert "x y z" in guard.wrap("x y z").plain
    artifact.manifest.to_dict()


# -------------------------------------------------------------------------------------------------- options and specs


def option(rng: Random) -> Any:
    return odd(rng) if rng.random() < 0.5 else rng.choice(["positive", "replace", "a b", 0.5, 0.01, True, "true", 1])


def options_case(rng: Random, _folder: Path) -> None:
    parse = rng.choice([parse_attack, parse_defense])
    names = ["badnets", "addsent"] * 3 if parse is parse_attack else ["p2p", "none"] * 3
    names += ["BadNets", "", "x" * 50, odd(rng)]
    fields = [
        "rate",
        "target",
        "word",
        "sentence",
        "ratio",
        "mode",
        "secret",
        "clean_label",
        "name",
        "__init__",
        "",
    ]
    kind = rng.random()
    if kind < 0.4:
        pairs = [f"{rng.choice(fields)}{rng.choice('======;: ')}{option(rng)}" for _ in range(rng.randint(0, 2))]
        method: Any = parse(f"{rng.choice(names)}:{';'.join(pairs)}")
    elif kind < 0.8:
        options = {rng.choice(fields): option(rng) for _ in range(rng.randint(0, 2))}
        text = json.dumps({"name": rng.choice(names), **options})
        method = parse(text[: rng.randint(1, len(text))] if rng.random() < 0.2 else text)
    else:
        recipe = TrainingOptions().to_dict()
        key = rng.choice([*recipe, "unknown"])
        found = TrainingOptions.from_dict({**recipe, key: odd(rng)})
        assert TrainingOptions.from_dict(found.to_dict()) == found
        return
    assert parse(json.dumps(method.to_dict())) == method
    str(method).encode("utf-8")
    task = Classification.for_labels(("negative", "positive"))
    rows = table_of(["a b c", "d e f"] * 5, ["negative", "positive"] * 5)
    if hasattr(method, "poison"):
        method.probes(task, rows, seed=0)
        assert method.poison(task, rows, seed=0).rows.num_rows == 10
    else:
        method.prepare(task, rows, trusted=rows.slice(0, 4), lab=StandInLab(0))


CASES = {"rows": rows_case, "manifest": manifest_case, "options": options_case}
SHARES = {"rows": 0.6, "manifest": 0.2, "options": 0.2}


def run(kind: str, numbers: range, folder: Path) -> tuple[int, int]:
    """Run cases; return how many gave a result and how many a user error."""
    results, messages = 0, []
    for number in numbers:
        try:
            CASES[kind](Random(f"{kind}:{number}"), folder)
            results += 1
        except AntivenomError as error:
            messages.append(str(error))
        except BaseException as error:
            raise AssertionError(f"case {kind}:{number} gave {type(error).__name__}: {error}") from error
    for message in messages:
        assert message.strip().encode("utf-8"), "a message must say something, and must be printable"
    return results, len(messages)


@pytest.mark.parametrize("kind", CASES)
def test_hostile_inputs(kind, tmp_path):
    results, errors = run(kind, range(int(1000 * SHARES[kind])), tmp_path)
    assert min(results, errors) > 20, "the generator must reach both"


@pytest.mark.slow
@pytest.mark.parametrize("kind", CASES)
def test_ten_thousand_hostile_inputs(kind, tmp_path):
    results, errors = run(kind, range(int(1000 * SHARES[kind]), int(10_000 * SHARES[kind])), tmp_path)
    assert results + errors == int(9000 * SHARES[kind])
