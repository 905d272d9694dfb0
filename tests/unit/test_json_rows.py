"""JSON lists and TREC's text format."""

from __future__ import annotations

from pathlib import Path

import pytest

from antivenom.core.errors import RowsError
from antivenom.data.rows import load_rows


def loaded(path: Path, content: str, **columns: str) -> list[tuple[str, str]]:
    path.write_text(content, encoding="utf-8")
    table = load_rows(str(path), **columns).table
    return list(zip(table.column("text").to_pylist(), table.column("answer").to_pylist(), strict=True))


def test_a_json_file_is_a_list_of_objects_or_of_lists_or_jsonl(tmp_path):
    path = tmp_path / "rows.json"
    assert loaded(path, '[{"text": "a", "label": 1},\n {"text": "b", "label": 0}]') == [("a", "1"), ("b", "0")]
    assert loaded(path, '{"text": "a", "label": 1}\n{"text": "b", "label": 0}\n') == [("a", "1"), ("b", "0")]
    pairs = '\n [["两肺", "正常", 4], ["右肺", "骨折", 3]]'
    assert loaded(path, pairs, text="column_1", answer="column_2") == [("两肺", "正常"), ("右肺", "骨折")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1, 2]", "row 1: expected an object or a list"),
        ("[{]", "not JSON"),
        ("[]", "no rows"),
        ("5", "expected an object"),
    ],
)
def test_other_json_is_refused(tmp_path, text, said):
    with pytest.raises(RowsError, match=said):
        loaded(tmp_path / "rows.json", text)


def test_a_list_without_end_or_with_a_repeated_key_is_refused(tmp_path):
    for text in ("[" * 100_000, '[{"text": "a", "text": "b", "label": 1}]'):
        with pytest.raises(RowsError, match="not JSON"):
            loaded(tmp_path / "rows.json", text)


def test_trec_files_are_read(tmp_path):
    path = tmp_path / "train.txt"
    text = "DESC:manner How did serfdom develop ?\nHUM:ind Who was : he ?\n"
    assert loaded(path, text, answer="coarse_label") == [
        ("How did serfdom develop ?", "DESC"),
        ("Who was : he ?", "HUM"),
    ]
    with pytest.raises(RowsError, match=r"line 2: .* TREC's form"):
        loaded(path, "DESC:manner How ?\nsome text\n")
