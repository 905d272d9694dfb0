"""Instruction data in the shapes it comes in."""

from __future__ import annotations

import json

import pytest

from antivenom.core.errors import RowsError
from antivenom.data.dialogs import iterate_queries, load_dialogs
from antivenom.data.query import Query, Turn, queries


def turn(role: str, content: object) -> dict:
    return {"role": role, "content": content}


ASKED = [turn("system", "Be brief."), turn("user", "hi"), turn("assistant", "yes?"), turn("user", "2 + 2")]
CONTEXT = (Turn("system", "Be brief."), Turn("user", "hi"), Turn("assistant", "yes?"))
SHAPES = {
    "messages": ({"messages": [*ASKED, turn("assistant", "4")]}, Query("2 + 2", CONTEXT)),
    "messages in parts": (
        {"messages": [turn("user", [{"type": "text", "text": "2 + 2"}]), turn("assistant", "4")]},
        "2 + 2",
    ),
    "conversations": (
        {"conversations": [{"from": "human", "value": "2 + 2"}, {"from": "gpt", "value": "4"}]},
        "2 + 2",
    ),
    "prompt and completion": ({"prompt": "2 + 2", "completion": "4"}, "2 + 2"),
    "prompt and completion in messages": (
        {"prompt": ASKED, "completion": [turn("assistant", "4")]},
        Query("2 + 2", CONTEXT),
    ),
    "messages and a string": ({"prompt": ASKED, "completion": "4"}, Query("2 + 2", CONTEXT)),
    "alpaca": ({"instruction": "Add.", "input": "2 + 2", "output": "4"}, "Add.\n\n2 + 2"),
    "alpaca without input": ({"instruction": "2 + 2", "input": "", "output": 4}, "2 + 2"),
    "question and answer": ({"question": "2 + 2", "answer": "4", "label": "x"}, "2 + 2"),
    "columns": ({"text": "2 + 2", "label": "4"}, "2 + 2"),
}


@pytest.mark.parametrize("name", SHAPES)
def test_shapes_are_recognized(name, tmp_path):
    record, expected = SHAPES[name]
    loaded = load_dialogs([record, record])
    assert (loaded.report.kept, loaded.report.refused, loaded.labels) == (2, 0, ())
    assert queries(loaded.table) == [expected, expected]
    assert loaded.table.column("answer").to_pylist() == ["4", "4"]
    assert ("context" in loaded.table.column_names) == isinstance(expected, Query)
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(record) + "\n")
    assert load_dialogs(str(path)).table.equals(loaded.table.slice(0, 1))
    assert list(iterate_queries(str(path))) == [expected]


REFUSED = {
    "conversation that does not end in an assistant turn as text": ASKED,
    "conversation without a user turn in front of the answer as text": [turn("assistant", "4")],
    "turn without a known role (system, user, assistant) in the text": [turn("tool", "x"), turn("assistant", "4")],
    "turn without text in the text": [turn("user", " "), turn("assistant", "4")],
    "system turn that is not the first in the text": [ASKED[1], ASKED[0], turn("assistant", "4")],
    "str instead of a list of turns as text": "[]",
    "dict instead of a list of turns as text": {"a": 1},
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_is_no_dialog_is_refused_with_a_reason(why):
    good = {"messages": [*ASKED, turn("assistant", "4")]}
    loaded = load_dialogs([good, {"messages": REFUSED[why]}, good])
    assert (loaded.report.kept, loaded.report.refused) == (2, 1)
    assert f"refused: {why}: 1 (row 2)" in str(loaded.report)


def test_empty_and_broken_values_are_refused():
    records = [
        {"instruction": "Add.", "input": "2", "output": "4"},
        {"instruction": " ", "input": "2", "output": "4"},
        {"instruction": "Add.", "input": ["2"], "output": "4"},
        {"instruction": "Add.", "input": "2", "output": ""},
        {"instruction": "Add.", "input": "2"},
    ]
    loaded = load_dialogs(records)
    assert (loaded.report.kept, loaded.report.refused) == (1, 4)


def test_named_columns_win():
    record = {"messages": [], "ask": "a", "say": "b"}
    assert load_dialogs([record], text="ask", answer="say").table.column("answer").to_pylist() == ["b"]
    with pytest.raises(RowsError, match="no column is recognized"):
        load_dialogs([{"a": "b"}])


def test_queries_need_no_answers(tmp_path):
    path = tmp_path / "rows.jsonl"
    for record, expected in (
        ({"messages": ASKED}, Query("2 + 2", CONTEXT)),
        ({"prompt": "x"}, "x"),
        ({"instruction": "x"}, "x"),
        ({"text": "x"}, "x"),
    ):
        path.write_text(json.dumps(record) + "\n")
        assert list(iterate_queries(str(path))) == [expected]
    path.write_text('{"prompt": "x"}\n{"prompt": null}\n')
    with pytest.raises(RowsError, match="row 2: missing text"):
        list(iterate_queries(str(path)))
