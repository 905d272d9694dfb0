"""One strict reader: rows of any shape in any container are the same rows, and nothing of them is lost unreported."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from antivenom.core.errors import RowsError
from antivenom.data import readers
from antivenom.data.dialogs import load_dialogs
from antivenom.data.query import queries
from antivenom.data.read_options import ReadLimits, ReadOptions
from antivenom.data.row_stream import open_stream, take_census
from antivenom.data.rows import load_rows

QUICK = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), min_size=1, max_size=8).filter(str.strip)
ODD = st.sampled_from(
    ["007", "NA", "None", "True", "null", "1e5", 'say "hi"', '"all"', "a,b", "a;b", "two\nlines", "'"]
)
PAIRS = st.lists(st.tuples(CELLS | ODD, CELLS | ODD), min_size=1, max_size=6)


def write_csv(path: Path, rows: list[tuple[str, str]], delimiter: str, quoting: int) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=delimiter, quoting=quoting, lineterminator="\n").writerows(
            [("text", "label"), *rows]
        )


def containers(folder: Path, rows: list[tuple[str, str]]) -> dict[str, Path]:
    """Files of every kind that hold the rows."""
    records = [{"text": text, "label": label} for text, label in rows]
    found = {kind: folder / f"rows.{kind}" for kind in ("jsonl", "json", "csv", "tsv", "parquet")}
    found["jsonl"].write_text("".join(json.dumps(r) + "\n" for r in records), encoding="utf-8")
    found["json"].write_text(json.dumps(records), encoding="utf-8")
    write_csv(found["csv"], rows, ",", csv.QUOTE_MINIMAL)
    write_csv(found["tsv"], rows, "\t", csv.QUOTE_ALL)
    pq.write_table(pa.Table.from_pylist(records), found["parquet"])
    return found


def answers_of(source: object) -> list[tuple[str, str]]:
    table = load_rows(source).table
    return list(zip(table.column("text").to_pylist(), table.column("answer").to_pylist(), strict=True))


@QUICK
@given(rows=PAIRS)
def test_any_rows_in_any_container_are_the_same(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("rows")
    expected = answers_of([{"text": text, "label": label} for text, label in rows])
    for kind, path in containers(folder, rows).items():
        inside = folder / kind
        inside.mkdir()
        path.rename(inside / path.name)
        stream = open_stream(inside)
        census = take_census(stream, seed=0)
        assert answers_of(str(inside / path.name)) == expected, kind
        assert answers_of(str(inside)) == expected, f"folder of {kind}"
        assert census.report.to_dict() == load_rows(str(inside)).report.to_dict(), f"stream of {kind}"
    datasets.Dataset.from_list([{"text": t, "label": a} for t, a in rows]).save_to_disk(folder / "saved")
    assert answers_of(str(folder / "saved")) == expected


@QUICK
@given(st.lists(st.sampled_from(["a", '"', '""', ",", "\n", "\r", "\r\n", " ", "b"]), max_size=14).map("".join))
def test_csv_is_read_as_the_strict_reader_of_the_standard_library_reads_it_or_refused(tmp_path_factory, body):
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    path.write_bytes(f"text,label\n{body}".encode())
    try:
        raw = readers.open_source(str(path))
        found = [list(record.values()) for batch in raw.batches(raw.columns) for _, record in batch]
    except RowsError:
        return
    lines = path.read_bytes().decode().split("\n")
    expected = csv.reader((line + "\n" for line in lines[:-1]) if not lines[-1] else _lines(lines), strict=True)
    assert found == [cells for cells in expected if cells][1:]


def _lines(lines: list[str]) -> list[str]:
    return [line + "\n" for line in lines[:-1]] + lines[-1:]


@pytest.mark.parametrize(
    "body", ['"a"b,x\n', 'a,"x\nb,y\nc,z\n', "a\rb,x\n", '"a" ,x\n', "a,x\nb\n", 'a,x\n"b,y\n', b"\xff,x\n"]
)
def test_what_pyarrow_reads_in_silence_is_refused_with_its_line_in_files_and_folders(tmp_path, body):
    content = body if isinstance(body, bytes) else body.encode()
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_bytes(b"text,label\n" + content)
    for source in (tmp_path / "in", tmp_path / "in" / "a.csv"):
        with pytest.raises(RowsError, match=r"line \d"):
            load_rows(source)


def test_quoted_tsv_is_recognized_where_the_file_proves_it(tmp_path):
    plain = {"a": '"tis fine\tx\na 6" nail\ty\n', "b": '"all of it"\tx\nno\ty\n'}
    quoted = {"c": '"say ""hi"""\tx\nno\ty\n', "d": '"two\nlines"\tx\nno\ty\n'}
    for name, body in {**plain, **quoted}.items():
        path = tmp_path / f"{name}.tsv"
        path.write_text(f"text\tlabel\n{body}", encoding="utf-8")
        rows = load_rows(path)
        first = rows.table.column("text")[0].as_py()
        assert first.startswith('"') == (name in plain)
        assert any("quot" in key for key in rows.report.findings) == (name != "a")
        for quotes, marked in (("yes", False), ("no", True)):
            if name in ("b", "c"):
                forced = load_rows(path, options=ReadOptions(quotes=quotes))
                assert forced.table.column("text")[0].as_py().startswith('"') == marked


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_other_delimiters_of_csv_are_recognized_and_said(tmp_path, mark):
    path = tmp_path / "a.csv"
    path.write_text(f"text{mark}label\na, b{mark}x\n", encoding="utf-8")
    rows = load_rows(path)
    assert rows.table.to_pylist() == [{"row": 1, "text": "a, b", "answer": "x"}]
    assert any("separated" in key for key in rows.report.findings)


# ------------------------------------------------------------------------------------------------------------- folders


def fill(folder: Path, **files: str) -> Path:
    for name, label in files.items():
        path = folder / name.replace("__", "/").replace("_jsonl", ".jsonl")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"text": f"text of {name}", "label": label}) + "\n")
    return folder


def labels_of(folder: Path | str, **options: str) -> list[str]:
    return load_rows(folder, options=ReadOptions(**options)).table.column("answer").to_pylist()


def test_splits_and_configurations_of_folders(tmp_path):
    fill(tmp_path, data__train_jsonl="a", data__dev_jsonl="b", **{"test__part-0_jsonl": "c"})
    assert labels_of(tmp_path) == ["a"]
    assert labels_of(tmp_path, split="validation") == labels_of(tmp_path, split="dev") == ["b"]
    assert labels_of(tmp_path, split="test") == ["c"]
    with pytest.raises(RowsError, match="no split 'nothing'"):
        labels_of(tmp_path, split="nothing")
    head = "---\nconfigs:\n- config_name: one\n  data_files: data/*.jsonl\n- config_name: two\n  data_files:\n"
    (tmp_path / "README.md").write_text(head + "  - split: train\n    path: test/**\n---\n")
    with pytest.raises(RowsError, match="several configurations"):
        labels_of(tmp_path)
    assert labels_of(tmp_path, config="one") == ["b", "a"]
    assert labels_of(f"{tmp_path}:two") == ["c"]
    with pytest.raises(RowsError, match="no configuration 'three'"):
        labels_of(f"{tmp_path}:three")


@pytest.mark.parametrize(
    "path", ["../secret/private.jsonl", "/etc/passwd", "a/../../secret/*", "https://example.org/a.csv"]
)
def test_folders_are_not_read_outside_themselves(tmp_path, path):
    fill(tmp_path / "secret", private_jsonl="s")
    fill(tmp_path / "in", train_jsonl="a")
    (tmp_path / "in" / "README.md").write_text(f"---\nconfigs:\n- config_name: x\n  data_files: {path}\n---\n")
    with pytest.raises(RowsError, match="not inside"):
        labels_of(tmp_path / "in")
    (tmp_path / "in" / "README.md").unlink()
    (tmp_path / "in" / "more.jsonl").symlink_to(tmp_path / "secret" / "private.jsonl")
    with pytest.raises(RowsError, match="leads out"):
        labels_of(tmp_path / "in")


def test_a_saved_data_set_names_no_file_elsewhere(tmp_path):
    datasets.Dataset.from_list([{"text": "a", "label": "x"}]).save_to_disk(tmp_path / "other")
    datasets.Dataset.from_list([{"text": "b", "label": "y"}]).save_to_disk(tmp_path / "saved")
    note = tmp_path / "saved" / "state.json"
    state = json.loads(note.read_text())
    state["_data_files"] = [{"filename": "../other/data-00000-of-00001.arrow"}]
    note.write_text(json.dumps(state))
    with pytest.raises(RowsError, match=r"state\.json"):
        load_rows(str(tmp_path / "saved"))


def test_folders_of_several_formats_columns_or_packed_files_are_refused(tmp_path):
    fill(tmp_path / "a", one_jsonl="a")
    (tmp_path / "a" / "two.csv").write_text("text,label\na,b\n")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "one.csv").write_text("text,label\na,b\n")
    (tmp_path / "b" / "two.csv").write_text("text,class\na,b\n")
    fill(tmp_path / "c", one_jsonl="a")
    (tmp_path / "c" / "two.jsonl.gz").write_bytes(b"x")
    (tmp_path / "d").mkdir()
    for name, said in (("a", "several formats"), ("b", "other columns"), ("c", "gz"), ("d", "no rows")):
        with pytest.raises(RowsError, match=said):
            load_rows(tmp_path / name)


def test_pipes_and_devices_are_no_rows(tmp_path):
    os.mkfifo(tmp_path / "a.csv")
    (tmp_path / "in").mkdir()
    os.mkfifo(tmp_path / "in" / "a.jsonl")
    (tmp_path / "zero.jsonl").symlink_to("/dev/zero")
    for source in ("a.csv", "in", "zero.jsonl"):
        with pytest.raises(RowsError, match=r"regular file|leads out"):
            load_rows(tmp_path / source)


def test_csv_of_the_hub_is_read_as_written(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.csv").write_text("text,label\na,007\nb,None\n")
    load, cache = datasets.load_dataset, tmp_path / "cache"

    def fetched(_name, config, **options):
        return load(str(tmp_path / "data"), config, cache_dir=cache, **options)

    monkeypatch.setattr(datasets, "load_dataset", fetched)
    assert answers_of("acme/rows") == [("a", "007"), ("b", "None")]


# -------------------------------------------------------------------------------------------------------------- limits


def test_long_texts_are_refused_and_counted_in_every_container(tmp_path):
    limits = ReadOptions(limits=ReadLimits(longest_text=20))
    rows = [("x" * 20, "a"), ("é" * 11, "a"), ("fine", "b")]
    for path in containers(tmp_path, rows).values():
        report = load_rows(path, options=limits).report
        assert (report.kept, report.refused) == (2, 1)
    asked = [{"prompt": "x" * 21, "completion": "y"}, {"prompt": "x", "completion": "y"}]
    assert load_dialogs(asked, options=limits).report.refused == 1


def test_many_columns_and_keys_are_refused_in_linear_time(tmp_path):
    many = {f"column {i}": "x" for i in range(20_000)}
    (tmp_path / "a.jsonl").write_text(json.dumps({**many, "text": "a", "label": "b"}))
    (tmp_path / "a.csv").write_text(",".join([*many, "text", "label"]) + "\n")
    for name in ("a.jsonl", "a.csv"):
        with pytest.raises(RowsError, match="more than 10000"):
            load_rows(tmp_path / name)
    assert load_rows(tmp_path / "a.jsonl", options=ReadOptions(limits=ReadLimits(most_columns=30_000))).report.kept == 1


def test_a_small_parquet_file_does_not_fill_the_memory(tmp_path):
    # One long text that stands in every row: a few hundred kilobytes that spell tens of gigabytes.
    text = pa.DictionaryArray.from_arrays(pa.array([0] * 30_000, pa.int32()), pa.array(["x" * 900_000]))
    pq.write_table(pa.table({"text": text, "label": ["a", "b"] * 15_000}), tmp_path / "a.parquet")
    assert (tmp_path / "a.parquet").stat().st_size < 2**20
    with pytest.raises(RowsError, match="decodes to far more"):
        load_rows(tmp_path / "a.parquet")


# -------------------------------------------------------------------------------------------------- context of dialogs


def test_system_and_history_become_turns():
    alpaca = {"instruction": "c", "output": "d", "system": "s", "history": [["a", "b"]]}
    shared = {"conversations": [{"from": "human", "value": "c"}, {"from": "gpt", "value": "d"}], "system": "s"}
    for record, roles in ((alpaca, ["system", "user", "assistant"]), (shared, ["system"])):
        rows = load_dialogs([record])
        (query,) = queries(rows.table)
        assert [turn.role for turn in query.context] == roles
        assert (query.text, rows.table.column("answer").to_pylist()) == ("c", ["d"])
    dolly = {"instruction": "When?", "context": "In 1900.", "response": "1900"}
    assert queries(load_dialogs([dolly]).table) == ["When?\n\nIn 1900."]


TURN = {"role": "assistant", "content": "d"}
LOST = [
    {"messages": [{"role": "user", "content": "c"}, {**TURN, "tool_calls": [{"name": "f"}]}]},
    {"messages": [{"role": "user", "content": "c"}, {**TURN, "reasoning_content": "hm"}]},
    {"messages": [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "c"}]}, TURN]},
    {"messages": [{"role": "user", "content": "c"}, TURN], "tools": [{"type": "function"}]},
    {"messages": [{"role": "user", "content": "c"}, TURN], "images": ["a.png"]},
    {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "c"}, TURN], "system": "t"},
    {"instruction": "c", "output": "d", "history": [["a"]]},
    {"prompt": "c", "completion": "d", "system": ["s"]},
    {"question": "c", "answer": "d", "context": "where it stands"},
]


@pytest.mark.parametrize("record", LOST)
def test_what_no_text_can_hold_is_refused_with_a_reason(tmp_path, record):
    (tmp_path / "a.jsonl").write_text(json.dumps(record) + "\n")
    sources = [[record], tmp_path / "a.jsonl"]
    if not isinstance(record.get("messages", [TURN])[0]["content"], list):  # Arrow has no lists of two kinds
        pq.write_table(pa.Table.from_pylist([record]), tmp_path / "a.parquet")
        sources.append(tmp_path / "a.parquet")
    for source in sources:
        report = load_dialogs(source).report
        assert (report.kept, report.refused) == (0, 1)


def test_other_columns_and_keys_are_named():
    record = {"messages": [{"role": "user", "content": "c", "mood": "good"}, TURN], "source": "web", "tools": "[]"}
    said = str(load_dialogs([record]).report)
    assert "columns not read: source" in said
    assert "keys of turns not read: mood" in said
    assert "columns not read: source" in str(load_rows([{"text": "a", "label": "b", "source": "web"}]).report)


# -------------------------------------------------------------------------------------------------------------- labels


@given(st.permutations(["caf\u00e9", "cafe\u0301", "caf\u00e9\u200b", "tea", "te\u00ada"]))
def test_labels_that_look_the_same_are_one_in_any_order(labels):
    rows = load_rows([{"text": f"t {i}", "label": label} for i, label in enumerate(labels)])
    assert rows.labels == ("caf\u00e9", "tea")
    assert str(rows.report).count("look the same") == 3


def test_a_label_of_one_spelling_and_free_answers_stay_as_they_are():
    assert load_rows([{"text": "a", "label": "e\u0301"}]).labels == ("e\u0301",)
    rows = load_dialogs([{"prompt": "a", "completion": "e\u0301"}, {"prompt": "b", "completion": "\u00e9"}])
    assert rows.table.column("answer").to_pylist() == ["e\u0301", "\u00e9"]
    named = load_rows([{"text": "a", "label": "\u00e9"}, {"text": "b", "label": "x"}], labels=["e\u0301", "x"])
    assert named.table.column("answer").to_pylist() == ["e\u0301", "x"]
