"""`predict --file --out`: every column of the user's stays beside the answer, in a file of the kind that was read."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from antivenom.core.errors import ArtifactError, OptionsError
from antivenom.data.query import Asked, as_query
from antivenom.data.rows import open_rows
from antivenom.data.texts import iterate_texts
from antivenom.inference.answered_rows import answer_rows

SETTINGS = {"weights": "w"}


class Said:
    def __init__(self, text: str) -> None:
        self.text = text

    def to_dict(self) -> dict[str, Any]:
        return {"answer": self.text.upper(), "probability": 0.5, "cut": False}


class Echo:
    """Answers with the text in capitals; dies at the text `die` when it is told to."""

    def __init__(self, *, dies: bool = False) -> None:
        self.asked: list[str] = []
        self.dies = dies

    def predict_stream(
        self, asked: Iterable[Asked], *, progress: str | None = None, total: int | None = None
    ) -> Iterator[tuple[Asked, Said]]:
        for one in asked:
            if self.dies and as_query(one).text == "die":
                raise KeyboardInterrupt
            self.asked.append(as_query(one).text)
            yield one, Said(as_query(one).text)


def answer(source: Path, out: Path, model: Echo, **settings: Any) -> int:
    asked = iterate_texts(str(source), text="words")
    return answer_rows(model, open_rows(str(source)), asked, str(source), out, settings={**SETTINGS, **settings})


CELLS = [["007", "one", "None"], ["true", 'say "two",\nplease', ""], ["1.10", "=3+4", " x "]]


@pytest.mark.parametrize(("delimiter", "name"), [(",", "rows.csv"), (";", "rows.csv"), ("\t", "rows.tsv")])
def test_csv_stays_csv_with_every_cell_as_it_was_written(tmp_path, delimiter, name):
    source, out = tmp_path / name, tmp_path / f"out{Path(name).suffix}"
    cells = [[cell.replace('"', "").replace("\n", " ") for cell in row] if delimiter == "\t" else row for row in CELLS]
    with source.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=delimiter).writerows([["id", "words", "answer"], *cells])
    assert answer(source, out, Echo()) == 3
    with out.open(newline="", encoding="utf-8") as file:
        header, *lines = csv.reader(file, delimiter=delimiter)
    assert header == ["row", "id", "words", "answer", "antivenom_answer", "probability", "cut"]
    assert [line[1:4] for line in lines] == cells
    assert [line[4] for line in lines] == [row[1].upper() for row in cells]
    assert [line[0] for line in lines] == ["1", "2", "3"]
    assert out.stat().st_mode & 0o777 == 0o600


def test_json_lines_keep_nested_values_and_keys_that_come_late(tmp_path):
    source, out = tmp_path / "rows.jsonl", tmp_path / "out.jsonl"
    rows = [{"words": "one", "more": {"a": [1, None]}}, {"words": "two", "answer": "theirs", "row": 9}]
    source.write_text("".join(json.dumps(row) + "\n" for row in rows))
    answer(source, out, Echo())
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [{key: line[key] for key in row} for line, row in zip(lines, rows, strict=True)] == rows
    assert [line["antivenom_answer"] for line in lines] == ["ONE", "TWO"]
    assert [line["antivenom_row"] for line in lines] == [1, 2]


def test_parquet_stays_parquet_with_its_types(tmp_path):
    source, out = tmp_path / "rows.parquet", tmp_path / "out.parquet"
    table = pa.table({"words": ["one", "two"], "n": pa.array([1, None], pa.int8()), "b": pa.array([b"\0", b"x"])})
    pq.write_table(table, source)
    answer(source, out, Echo())
    found = pq.read_table(out)
    assert found.select(table.column_names).equals(table)
    assert found["answer"].to_pylist() == ["ONE", "TWO"]
    assert found["row"].to_pylist() == [1, 2]
    with pytest.raises(OptionsError, match="JSON"):
        answer(source, tmp_path / "out.jsonl", Echo())


def test_a_file_of_another_kind_is_refused_before_anything_is_asked(tmp_path):
    source, model = tmp_path / "rows.jsonl", Echo()
    source.write_text('{"words": "one"}\n')
    with pytest.raises(OptionsError, match="csv"):
        answer(source, tmp_path / "out.csv", model)
    assert model.asked == []


@pytest.fixture
def rows(tmp_path) -> Path:
    source = tmp_path / "rows.csv"
    source.write_text("id,words\n1,one\n2,two\n3,die\n4,four\n")
    return source


def test_a_stopped_run_goes_on_and_ends_with_the_same_bytes(rows, tmp_path):
    answer(rows, tmp_path / "whole.csv", Echo())
    out, first, second = tmp_path / "out.csv", Echo(dies=True), Echo()
    with pytest.raises(KeyboardInterrupt):
        answer(rows, out, first)
    assert not out.exists(), "a file that is there is whole"
    answer(rows, out, second)
    assert out.read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert first.asked + second.asked == ["one", "two", "die", "four"]
    assert sorted(path.name for path in tmp_path.glob("out*")) == ["out.csv", "out.csv.run.json"]


def test_a_run_stopped_while_it_wrote_writes_again(rows, tmp_path, monkeypatch):
    out, model = tmp_path / "out.csv", Echo()

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("antivenom.inference.answered_rows.remove_file", stop)
        with pytest.raises(KeyboardInterrupt):
            answer(rows, out, model)
    whole = out.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("antivenom.inference.answered_rows.file_digest", stop)
        out.unlink()
        with pytest.raises(KeyboardInterrupt):
            answer(rows, out, model)
    assert answer(rows, out, model) == 4
    assert out.read_bytes() == whole
    assert model.asked == ["one", "two", "die", "four"], "no row is asked twice"


def test_a_finished_file_is_not_made_again_and_never_overwritten(rows, tmp_path):
    out, model = tmp_path / "out.csv", Echo()
    answer(rows, out, model)
    assert answer(rows, out, model) == 4
    assert len(model.asked) == 4
    with pytest.raises(ArtifactError, match="not made with these settings"):
        answer(rows, out, model, weights="other")
    out.write_text(out.read_text() + "mine\n")
    with pytest.raises(ArtifactError, match="changed"):
        answer(rows, out, model)
    mine = tmp_path / "mine.csv"
    mine.write_text("mine")
    with pytest.raises(ArtifactError, match="exists"):
        answer(rows, mine, Echo())
    assert mine.read_text() == "mine"
