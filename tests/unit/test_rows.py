"""Rows in: every way in which a file can be wrong, with its place; what is read adds up."""

from __future__ import annotations

import json
import os
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antivenom.core.errors import RowsError
from antivenom.core.report import Report
from antivenom.data.rows import load_rows, table_of
from antivenom.data.texts import load_texts
from antivenom.data.validation import check_rows, require_labels

GOOD = [{"text": "a fine film", "label": "positive"}, {"text": "a dull film", "label": "negative"}]


def write(folder: Path, name: str, content: str | bytes) -> str:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def jsonl(*records: object) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def texts_of(rows) -> list[str]:
    return rows.table["text"].to_pylist()


# ------------------------------------------------------------------------------------------------------------ formats


def sources(folder: Path) -> dict[str, object]:
    table = pa.Table.from_pylist(GOOD)
    pq.write_table(table, folder / "rows.parquet")
    saved = datasets.Dataset.from_list(GOOD)
    saved.save_to_disk(folder / "saved")
    datasets.DatasetDict({"train": saved}).save_to_disk(folder / "split")
    (folder / "plain").mkdir()
    write(folder / "plain", "train.jsonl", jsonl(*GOOD))
    return {
        "jsonl": write(folder, "rows.jsonl", jsonl(*GOOD)),
        "csv": write(folder, "rows.csv", "text,label\na fine film,positive\n\na dull film,negative"),
        "tsv": write(folder, "rows.TSV", "label\ttext\r\npositive\ta fine film\r\nnegative\ta dull film\r\n"),
        "bom": write(folder, "bom.csv", b"\xef\xbb\xbftext,label\na fine film,positive\na dull film,negative\n"),
        "parquet": folder / "rows.parquet",
        "saved folder": str(folder / "saved"),
        "saved splits": str(folder / "split"),
        "folder of files": str(folder / "plain"),
        "Dataset": saved,
        "table": table,
        "records": GOOD,
    }


def test_every_source_gives_the_same_rows(tmp_path):
    for name, source in sources(tmp_path).items():
        rows = load_rows(source)
        assert rows.table.to_pylist() == [
            {"row": 1, "text": "a fine film", "answer": "positive"},
            {"row": 2, "text": "a dull film", "answer": "negative"},
        ], name
        assert rows.labels == ("negative", "positive")
        assert (rows.report.read, rows.report.kept) == (2, 2)


@pytest.mark.parametrize("columns", [("sentence", "Label"), ("content", "class"), ("Review", "sentiment")])
def test_usual_columns_are_recognized(columns):
    assert load_rows([dict(zip(columns, ("a b", "x"), strict=True))]).table.num_rows == 1


def test_columns_can_be_named():
    row = {"text": "wrong", "body": "right", "label": "x", "kind": "y"}
    assert load_rows([row], text="body", answer="kind").table.to_pylist()[0]["answer"] == "y"
    with pytest.raises(RowsError, match="there is no column 'bdy'") as caught:
        load_rows([row], text="bdy")
    assert "text, body, label, kind" in caught.value.mend
    with pytest.raises(RowsError, match="no column is recognized as the label; the columns are: text"):
        load_rows([{"text": "a"}])


def test_columns_of_jsonl_are_those_of_all_rows(tmp_path):
    rows = load_rows(write(tmp_path, "a.jsonl", jsonl({"text": "no label"}, *GOOD)))
    assert rows.report.findings["refused:missing label"].rows == [1]
    assert rows.report.kept == 2


def test_strings_are_not_guessed(tmp_path):
    rows = load_rows(write(tmp_path, "a.csv", "text,label\n007,NA\nnull,01\n1e5,true\n"))
    assert rows.table["text"].to_pylist() == ["007", "null", "1e5"]
    assert rows.table["answer"].to_pylist() == ["NA", "01", "true"]


def test_tsv_has_no_quotes(tmp_path):
    rows = load_rows(write(tmp_path, "a.tsv", 'text\tlabel\n"tis fine\tgood\na 6" nail\tbad\n'))
    assert texts_of(rows) == ['"tis fine', 'a 6" nail']


def test_csv_quotes_may_hold_newlines_and_carriage_returns(tmp_path):
    rows = load_rows(write(tmp_path, "a.csv", 'text,label\r\n"a\r\nb ""c""\rd",x\r\n'))
    assert texts_of(rows) == ['a\r\nb "c"\rd']


# ------------------------------------------------------------------------------------------------------- label names


def class_label(folder: Path, numbers: list[int | None], names: list[str]) -> datasets.Dataset:
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=names)})
    return datasets.Dataset.from_dict({"text": ["a", "b", "c"], "label": numbers}, features=features)


def test_class_labels_give_names_even_if_the_names_are_numbers(tmp_path):
    found = class_label(tmp_path, [0, 1, 1], ["1", "2"])
    found.to_parquet(tmp_path / "rows.parquet")
    for source in (found, str(tmp_path / "rows.parquet")):
        rows = load_rows(source)
        assert rows.table["answer"].to_pylist() == ["1", "2", "2"]
        assert rows.labels == ("1", "2")


def test_a_class_label_of_minus_one_is_no_label(tmp_path):
    rows = load_rows(class_label(tmp_path, [0, 1, -1], ["bad", "good"]))
    check_rows(rows.table, rows.labels, rows.report)
    assert rows.report.findings["refused:unknown label '-1' (known: bad, good)"].rows == [3]


def test_class_labels_of_another_column_do_not_count():
    features = {"text": datasets.Value("string"), "answer": datasets.Value("string")}
    features["topic"] = datasets.ClassLabel(names=["x", "y"])
    found = datasets.Dataset.from_dict(
        {"text": ["a", "b"], "answer": ["0", "1"], "topic": [1, 0]}, features=datasets.Features(features)
    )
    assert load_rows(found).labels == ("0", "1")
    assert load_rows(found, answer="topic").table["answer"].to_pylist() == ["y", "x"]


def test_given_names_stand_for_numbers_but_not_if_they_are_numbers():
    numbered = [{"text": "a", "label": 0}, {"text": "b", "label": "1"}, {"text": "c", "label": 1.0}]
    rows = load_rows(numbered, labels=["negative", "positive"])
    assert rows.table["answer"].to_pylist() == ["negative", "positive", "positive"]
    stars = [{"text": t, "label": label} for t, label in zip("abcd", ["1", "2", "3", "x"], strict=True)]
    assert load_rows(stars, labels=["1", "2", "3"]).table["answer"].to_pylist() == ["1", "2", "3", "x"]


@pytest.mark.parametrize("labels", [["a", "a"], [""], [3], ["\ud800"]])
def test_label_names_are_checked(labels):
    with pytest.raises(RowsError):
        load_rows(GOOD, labels=labels)


def test_numbers_are_sorted_as_numbers():
    rows = load_rows([{"text": "t", "label": n} for n in (10, 9, 2)])
    assert rows.labels == ("2", "9", "10")


# ----------------------------------------------------------------------------------------------------- refused values


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"label": "x"}, "missing text"),
        ({"text": None, "label": "x"}, "missing text"),
        ({"text": "  \n", "label": "x"}, "empty text"),
        ({"text": float("nan"), "label": "x"}, "missing text"),
        ({"text": ["a", "b"], "label": "x"}, "list instead of a string as text"),
        ({"text": {"a": 1}, "label": "x"}, "dict instead of a string as text"),
        ({"text": b"bytes", "label": "x"}, "bytes instead of a string as text"),
        ({"text": "\ud800", "label": "x"}, "broken encoding in the text"),
        ({"text": "a"}, "missing label"),
        ({"text": "a", "label": " "}, "empty label"),
        ({"text": "a", "label": 10**400}, "out-of-range number as label"),
        ({"text": "a", "label": float("inf")}, "out-of-range number as label"),
        ({"text": "a", "label": "x\0y"}, "control characters in the label"),
        ({"text": "\0\x01", "label": "x"}, "text of control characters only"),
        ({"text": "\x01 \u00a0", "label": "x"}, "text of control characters only"),
    ],
)
def test_refused_rows_are_numbered_and_add_up(record, said):
    rows = load_rows([GOOD[0], record, GOOD[1]])
    assert rows.report.findings[f"refused:{said}"].rows == [2]
    assert (rows.report.read, rows.report.kept, rows.report.refused) == (3, 2, 1)
    assert rows.table["row"].to_pylist() == [1, 3]
    with pytest.raises(RowsError, match=r"row 2"):
        rows.report.stop_on_errors()
    rows.report.stop_on_errors(skip_refused=True)


def test_control_characters_are_removed_and_counted():
    rows = load_rows([{"text": "a\0b\x7f \x1bc\td\n", "label": "x"}, *GOOD])
    assert texts_of(rows)[0] == "ab c\td\n"
    assert (rows.report.fixed, rows.report.kept, rows.report.refused) == (1, 3, 0)


def test_numpy_values_are_numbers():
    rows = load_rows([{"text": np.str_("a"), "label": np.int64(3)}, {"text": "b", "label": np.float32(4)}])
    assert rows.table["answer"].to_pylist() == ["3", "4"]


# ------------------------------------------------------------------------------------------------------- broken files


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (
            "a.jsonl",
            '{"text": "a", "label": "x"}\n{"text": "b", "la',
            r"line 2 \(row 2\): the file stops in the middle",
        ),
        ("a.jsonl", '{"text": "a", "label": "x"}\n{"text"}\n', r"line 2 \(row 2\): not JSON"),
        ("a.jsonl", '\n\n["text"]\n', r"line 3 \(row 1\): expected an object, got list"),
        ("a.jsonl", '{"text": "a", "text": "b", "label": "x"}\n', "the key 'text' stands twice"),
        ("a.jsonl", '{"text": "a", "label": ' + "9" * 5000 + "}\n", r"row 1\): not JSON"),
        ("a.jsonl", '{"text": ' + "[" * 200_000 + "\n", r"row 1\): not JSON"),
        ("a.jsonl", b'{"text": "caf\xe9", "label": "x"}\n', r"line 1: byte 0xe9 at position \d+ is not UTF-8"),
        ("a.jsonl", "", "the file holds no rows"),
        ("a.csv", "", "the file is empty"),
        ("a.csv", "text,label,text\n", "column 'text' appears twice"),
        ("a.csv", "text,label\na,x\nb\n", r"line 3 \(row 2\): expected 2 columns, found 1"),
        ("a.csv", "text,label\na, b,x\n", r"line 2 \(row 1\): expected 2 columns, found 3"),
        ("a.csv", 'text,label\n"a,x\n', "a quote is never closed"),
        ("a.csv", 'text,label\n"a"b,x\n', "line 2"),
        ("a.csv", "text,label\ra,x\rb,y\r", "a carriage return stands inside a row"),
        ("a.csv", "text,label\na\rb,x\n", "line 2: a carriage return stands inside a row"),
        ("a.csv", "text,label\na,x\n".encode("utf-16"), "the file is UTF-16"),
        ("a.csv", "text,label\na,x\n".encode("utf-16-be"), "no column is recognized"),
        ("a.csv", b"\0\0\0\0", "no column is recognized"),
        ("a.tsv", "text\tlabel\na\tb\tx\n", "expected 2 columns, found 3"),
        ("a.parquet", b"PAR1 not really", "not a whole Parquet file"),
        ("a.txt", "text", "rows cannot be read from a .txt file"),
        ("a", "text", "rows cannot be read from a nameless file"),
    ],
)
def test_broken_files_are_refused_with_the_place(tmp_path, name, content, said):
    with pytest.raises(RowsError, match=said):
        load_rows(write(tmp_path, name, content))


def test_a_cell_of_a_quote_that_is_never_closed_does_not_eat_the_memory(tmp_path):
    with pytest.raises(RowsError, match="a quote was probably never closed"):
        load_rows(write(tmp_path, "a.csv", 'text,label\n"' + "x" * (16 * 2**20 + 10)))


def test_a_truncated_parquet_file_is_refused(tmp_path):
    pq.write_table(pa.Table.from_pylist(GOOD * 1000), tmp_path / "a.parquet")
    whole = (tmp_path / "a.parquet").read_bytes()
    for size in (0, 10, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut.parquet").write_bytes(whole[:size])
        with pytest.raises(RowsError):
            load_rows(str(tmp_path / "cut.parquet"))


COLUMNS = {
    "dictionary": (pa.array(["a", "b"]).dictionary_encode(), 2),
    "large_string": (pa.array(["a", "b"], pa.large_string()), 2),
    "string_view": (pa.array(["a", "b"], pa.string_view()), 2),
    "binary": (pa.array([b"a", b"\xff"]), 0),
    "nested": (pa.array([["a"], ["b"]]), 0),
    "struct": (pa.array([{"a": 1}, {"a": 2}]), 0),
    "nulls": (pa.nulls(2), 0),
    "date": (pa.array([1, 2], pa.date32()), 0),
    "decimal": (pa.array([1, 2]).cast(pa.decimal128(38, 2)), 0),
    "integers": (pa.array([1, 2], pa.uint64()), 2),
    "timestamp": (pa.array([1, 2], pa.timestamp("us", tz="UTC")), 0),
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_parquet_columns_of_any_type(tmp_path, kind):
    column, kept = COLUMNS[kind]
    pq.write_table(pa.table({"text": column, "label": ["x", "y"]}), tmp_path / "a.parquet")
    report = load_rows(str(tmp_path / "a.parquet")).report
    assert (report.kept, report.refused) == (kept, 2 - kept)


def test_values_that_python_cannot_hold_are_refused_only_where_they_matter(tmp_path):
    stamps = pa.array([2**62, 1], pa.timestamp("ms"))
    pq.write_table(pa.table({"text": ["a", "b"], "label": ["x", "y"], "when": stamps}), tmp_path / "a.parquet")
    assert load_rows(str(tmp_path / "a.parquet")).report.kept == 2
    with pytest.raises(RowsError, match="a value after row 0 is damaged or unreadable"):
        load_rows(str(tmp_path / "a.parquet"), text="when")


def test_parquet_with_repeated_columns(tmp_path):
    table = pa.table([["a"], ["b"], ["x"]], names=["text", "text", "label"])
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(RowsError, match="column 'text' appears twice"):
        load_rows(str(tmp_path / "a.parquet"))


@pytest.mark.parametrize("names", [3, None, "ab", [1], ["a", "a"], [""], ["\ud800"], {"a": 1}])
def test_hostile_class_label_metadata_is_ignored(tmp_path, names):
    features = {"label": {"_type": "ClassLabel", "names": names}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    table = pa.table({"text": ["a", "b"], "label": [0, 1]}).replace_schema_metadata(metadata)
    pq.write_table(table, tmp_path / "a.parquet")
    assert load_rows(str(tmp_path / "a.parquet")).labels == ("0", "1")


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_folders_and_missing_files(tmp_path, ending):
    with pytest.raises(RowsError, match="there is no file"):
        load_rows(str(tmp_path / f"missing.{ending}"))
    (tmp_path / f"folder.{ending}").mkdir()
    with pytest.raises(RowsError, match="the folder holds no rows"):
        load_rows(str(tmp_path / f"folder.{ending}"))


def test_odd_paths(tmp_path):
    write(tmp_path, "a.jsonl", jsonl(*GOOD))
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "a.jsonl")
    assert load_rows(tmp_path / "link.jsonl").report.kept == 2
    (tmp_path / "dangling.jsonl").symlink_to(tmp_path / "nothing")
    (tmp_path / "loop.jsonl").symlink_to(tmp_path / "loop.jsonl")
    for source in ("dangling.jsonl", "loop.jsonl", "x" * 300 + ".csv", "a\0b.csv", "a.jsonl/b.csv"):
        with pytest.raises(RowsError):
            load_rows(str(tmp_path / source))


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    path = write(tmp_path, "a.jsonl", jsonl(*GOOD))

    def refuse(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(RowsError, match=r"a\.jsonl: cannot be read"):
        load_rows(path)


@pytest.mark.parametrize("source", [None, 3, object(), [1, 2], b"abc"])
def test_what_are_no_rows(source):
    with pytest.raises(RowsError):
        load_rows(source)


def test_a_hub_name_that_cannot_be_reached():
    with pytest.raises(RowsError, match="neither a file or folder here nor a hub data set"):
        load_rows("nobody/nothing")


def test_texts_without_labels(tmp_path):
    path = write(tmp_path, "a.jsonl", jsonl({"text": "a"}, {"text": "b"}))
    assert load_texts(path) == ["a", "b"]
    with pytest.raises(RowsError, match="row 2: empty text"):
        load_texts(write(tmp_path, "b.jsonl", jsonl({"text": "a"}, {"text": ""})))


# ---------------------------------------------------------------------------------------------------------- validation


def checked(texts: list[str], answers: list[str], labels: tuple[str, ...]) -> Report:
    report = Report("rows", kept=len(texts))
    table = check_rows(table_of(texts, answers), labels, report)
    assert table.num_rows == report.kept
    return report


def test_unknown_labels_are_refused_with_their_rows():
    report = checked(["a", "b", "c", "d"], ["x", "z", "y", "z"], ("x", "y"))
    assert report.findings["refused:unknown label 'z' (known: x, y)"].rows == [2, 4]
    assert (report.read, report.kept, report.refused) == (4, 2, 2)


def test_a_label_column_of_free_text_does_not_fill_the_screen():
    report = checked([f"t{i}" for i in range(500)], [f"free text {i}" for i in range(500)], ("x", "y"))
    assert len(report.findings) < 30
    assert report.refused == 500
    with pytest.raises(RowsError, match="looks like free text") as caught:
        require_labels([f"free text {i}" for i in range(5000)])
    assert len(str(caught.value)) < 500


def test_one_class_only():
    with pytest.raises(RowsError, match="only 1 class in the rows"):
        checked(["a", "b"], ["x", "x"], ("x", "y")).stop_on_errors()
    with pytest.raises(RowsError, match="only 0 class in the rows"):
        checked([], [], ("x", "y")).stop_on_errors()
    with pytest.raises(RowsError, match="only 1 class"):
        require_labels(("x",))


def test_duplicates_and_conflicts_are_counted():
    report = checked(["a", "a", "b", "b", "b", "c"], ["x", "x", "x", "y", "x", "y"], ("x", "y"))
    assert report.findings["warning:text stands more than once, with the same label"].rows == [1]
    assert report.findings["warning:text stands more than once, with different labels"].rows == [3]


def test_marks_of_broken_encodings_and_rare_labels_are_seen():
    report = checked(["caf\ufffd", "b"], ["x", "y"], ("x", "y", "z"))
    assert report.findings["warning:text holds U+FFFD, the mark of a broken encoding"].rows == [1]
    assert "warning:label 'z' has 0 rows" in report.findings
    report.stop_on_errors()


def test_reports_are_json_and_text():
    report = checked(["a", "b", "c"], ["x", "y", "\x1b[31mz"], ("x", "y"))
    found = json.loads(json.dumps(report.to_dict()))
    assert (found["read"], found["kept"], found["refused"]) == (3, 2, 1)
    assert str(report).splitlines()[0] == "rows: 3 rows read, 2 kept (0 fixed), 1 refused"
    assert "\x1b" not in str(report)


def test_findings_remember_the_first_rows_and_count_all():
    report = Report("rows", kept=100)
    report.warn("odd", range(1, 8))
    report.warn("odd", [50])
    assert str(report.findings["warning:odd"]) == "odd: 8 (row 1, 2, 3, 4, 5, ...)"


values = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.lists(st.text(max_size=2))


@given(st.lists(st.fixed_dictionaries({}, optional={"text": values, "label": values}), max_size=25))
def test_any_records_add_up(records):
    try:
        rows = load_rows([{"text": "first", "label": "x"}, *records])
    except RowsError:
        return
    table = check_rows(rows.table, [*rows.labels, "another"], rows.report)
    assert rows.report.read == len(records) + 1
    assert rows.report.kept == table.num_rows
    for row in table.to_pylist():
        assert row["text"].strip()
        assert row["answer"].strip() == row["answer"] != ""
