"""Streaming gives the rows of the same work done in memory, byte for byte, however the file is cut."""

from __future__ import annotations

import hashlib
import json
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from antivenom.artifacts.export import training_records
from antivenom.core.errors import OptionsError, RowsError
from antivenom.core.hashing import row_keys
from antivenom.core.report import Report
from antivenom.data.arrow_rows import clean_batch
from antivenom.data.cleaning import clean_records
from antivenom.data.digests import digest_of_table
from antivenom.data.read_options import ReadOptions
from antivenom.data.row_stream import open_stream, take_census
from antivenom.data.rows import load_rows, table_of
from antivenom.defenses.p2p import P2P
from antivenom.tasks.task import Classification
from antivenom.testing import StandInLab
from antivenom.training.streaming import Plan, immunize_stream

TEXTS = st.one_of(
    st.text(st.characters(codec="utf-8"), max_size=12),
    st.sampled_from(["same text", " ", "", "\x00", "a\x07b", "\u2003", "\u4f60\u597d", "tab\tnewline\n"]),
    st.none(),
)
LABELS = st.sampled_from(["negative", "positive", " positive "])
NUMBERS = st.sampled_from([0, 1])
SLOW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
FEW = table_of(["fine film", "bad film"], ["positive", "negative"])


def write(path, texts, answers, rows_in_group=5):
    pq.write_table(
        pa.table({"text": pa.array(texts, pa.string()), "label": answers}), path, row_group_size=rows_in_group
    )
    return path


def streamed(path, defense, batch_rows, *, seed=3, trusted=None, labels=None, out=None, form=None):
    stream = open_stream(path, options=ReadOptions(batch_rows=batch_rows))
    census = take_census(stream, seed=seed, labels=labels)
    out = out or path.parent / "out.parquet"
    task = Classification.for_labels(census.labels)
    return census, rebuilt(stream, census, defense, task, out, trusted=trusted, form=form), out


def rebuilt(stream, census, defense, task, out, **given):
    return immunize_stream(stream, census, Plan.of(stream, census, defense, task, **given), out)


@SLOW
@given(
    texts=st.lists(TEXTS, min_size=1, max_size=30),
    numbers=st.booleans(),
    batch_rows=st.integers(1, 40),
    mode=st.sampled_from(["union", "replace"]),
    policy=st.sampled_from(["random", "trusted"]),
    data=st.data(),
)
def test_streaming_equals_prepare(tmp_path, texts, numbers, batch_rows, mode, policy, data):
    given_labels = ("negative", "positive") if numbers else None
    kind = NUMBERS if numbers else LABELS
    answers = data.draw(st.lists(kind, min_size=len(texts), max_size=len(texts)))
    texts, answers = [*texts, "fine film", "bad film"], [*answers, *([1, 0] if numbers else ["positive", "negative"])]
    path = write(tmp_path / "rows.parquet", texts, answers)
    defense = P2P(mode=mode, reserve=policy)
    loaded = load_rows(str(path), labels=given_labels)
    task = Classification.for_labels(loaded.labels)
    trusted = FEW if policy == "trusted" else None
    expected = defense.prepare(task, loaded.table, trusted=trusted, lab=StandInLab(3))
    census, done, out = streamed(path, defense, batch_rows, trusted=trusted, labels=given_labels)
    assert census.labels == loaded.labels
    assert census.report.to_dict() == loaded.report.to_dict()
    assert pq.read_table(out).to_pylist() == expected.rows.to_pylist()
    assert pq.read_schema(out) == expected.rows.schema
    assert (done.facts, done.guard, done.rows) == (expected.facts, expected.guard, expected.rows.num_rows)
    assert done.sha256 == digest_of_table(expected.rows)


def test_the_share_of_trusted_rows_is_that_of_prepare(tmp_path):
    path = write(tmp_path / "rows.parquet", [f"text {i}" for i in range(30)], ["negative", "positive"] * 15)
    trusted = table_of([f"vouched {i}" for i in range(20)], ["negative", "positive"] * 10)
    loaded, defense = load_rows(str(path)), P2P(reserve="trusted")
    expected = defense.prepare(
        Classification.for_labels(loaded.labels), loaded.table, trusted=trusted, lab=StandInLab(3)
    )
    _, done, out = streamed(path, defense, 7, trusted=trusted)
    assert pq.read_table(out).to_pylist() == expected.rows.to_pylist()
    assert done.facts == expected.facts
    assert 0 < done.facts["rows"] < 20


@pytest.mark.parametrize("form", ["prompt-completion", "chat", "messages"])
@pytest.mark.parametrize("placement", ["prefix", "system"])
@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
def test_the_forms_of_trainers(tmp_path, form, placement, suffix):
    path = write(tmp_path / "rows.parquet", [f"text {i}" for i in range(20)], ["negative", "positive"] * 10)
    defense = P2P(reserve="random", placement=placement, cue="split")
    _, done, out = streamed(path, defense, 7, out=tmp_path / f"out{suffix}", form=form)
    loaded = load_rows(str(path))
    prepared = defense.prepare(Classification.for_labels(loaded.labels), loaded.table, trusted=None, lab=StandInLab(3))
    expected = list(training_records(prepared.rows, prepared.guard, form))
    if suffix == ".jsonl":
        found = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    else:
        found = pq.read_table(out).to_pylist()
    assert found == expected
    assert done.rows == len(expected)


def test_other_sources_than_parquet(tmp_path):
    path = tmp_path / "rows.jsonl"
    rows = [{"text": f"text {i}", "label": ["negative", "positive"][i % 2]} for i in range(9)]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    loaded = load_rows(str(path))
    defense = P2P(reserve="random")
    expected = defense.prepare(Classification.for_labels(loaded.labels), loaded.table, trusted=None, lab=StandInLab(3))
    _, _, out = streamed(path, defense, 2)
    assert pq.read_table(out).to_pylist() == expected.rows.to_pylist()


def test_labels_of_other_types(tmp_path):
    for answers in (["a", "b"] * 3, [0, 1] * 3, [0.0, 1.0] * 3, [True, False] * 3):
        for encode in (lambda array: array, lambda array: array.dictionary_encode()):
            path = write(tmp_path / "rows.parquet", [f"t{i}" for i in range(6)], encode(pa.array(answers)))
            assert take_census(open_stream(path), seed=0).labels == load_rows(str(path)).labels


@SLOW
@given(texts=st.lists(TEXTS, max_size=12), data=st.data())
def test_cleaning_a_batch_equals_cleaning_records(texts, data):
    kinds = st.sampled_from([None, "a", " b ", "", "c\x1f"])
    answers = data.draw(st.lists(kinds, min_size=len(texts), max_size=len(texts)))
    ours, theirs = Report(), Report()
    found = clean_batch(pa.array(texts, pa.string()), pa.array(answers, pa.string()), 5, ours)
    records = [(i, {"text": t, "answer": a}) for i, (t, a) in enumerate(zip(texts, answers, strict=True), start=5)]
    assert found.to_pylist() == clean_records(records, "text", "answer", theirs).to_pylist()
    assert ours.to_dict() == theirs.to_dict()


def test_every_blank_character_counts_as_blank():
    texts = [chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code <= 0xDFFF]
    found = clean_batch(pa.array(texts), pa.array(["a"] * len(texts)), 0, Report())
    kept = [text for text in texts if text.strip() and not (ord(text) < 32 or ord(text) == 127)]
    assert found.column("text").to_pylist() == kept


@given(st.lists(st.text(st.characters(codec="utf-8")), min_size=1), st.integers(1, 4))
def test_digests_do_not_depend_on_chunks_or_string_types(texts, size):
    whole = table_of(texts, texts)
    cut = pa.concat_tables([whole.slice(i, size) for i in range(0, len(texts), size)])
    large = whole.cast(pa.schema([("row", pa.int64()), ("text", pa.large_string()), ("answer", pa.large_string())]))
    expected = hashlib.sha256()
    for column in ("text", "answer"):
        lengths = np.array([len(t.encode()) for t in texts], dtype="<i8").tobytes()
        content = "".join(texts).encode()
        expected.update(column.encode() + hashlib.sha256(lengths).digest() + hashlib.sha256(content).digest())
    assert {digest_of_table(t) for t in (whole, cut, large)} == {expected.hexdigest()}
    keys = row_keys(whole.column("text"), seed=1, purpose="p")
    np.testing.assert_array_equal(keys, row_keys(cut.column("text"), seed=1, purpose="p"))


def test_refusals(tmp_path):
    path = write(tmp_path / "rows.parquet", ["one", "two"], ["negative", "positive"])
    stream = open_stream(path)
    census = take_census(stream, seed=0)
    task = Classification.for_labels(census.labels)
    random = P2P(reserve="random")
    with pytest.raises(OptionsError, match="no trusted rows"):
        rebuilt(stream, census, P2P(), task, tmp_path / "o.parquet")
    with pytest.raises(OptionsError, match="others = 'drop' needs all rows"):
        rebuilt(stream, census, P2P(reserve="random", others="drop"), task, tmp_path / "o.parquet")
    with pytest.raises(OptionsError, match="with trusted rows needs all rows"):
        rebuilt(stream, census, random, task, tmp_path / "o.parquet", trusted=FEW)
    with pytest.raises(OptionsError, match="not streamed"):
        rebuilt(stream, census, random, task, tmp_path / "o.csv")
    with pytest.raises(RowsError, match="'positive' is not among"):
        rebuilt(stream, census, random, Classification.for_labels(["negative", "no"]), tmp_path / "o.parquet")
    wider = Classification.for_labels(["negative", "neutral", "positive"])
    with pytest.raises(RowsError, match="no row has the label 'neutral'"):
        rebuilt(stream, census, random, wider, tmp_path / "o.parquet")
    write(path, ["one", "two", "three"], ["negative", "positive", "positive"])
    with pytest.raises(RowsError, match="was changed"):
        rebuilt(stream, census, random, task, tmp_path / "o.parquet")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["rows.parquet"]
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(RowsError, match=r"rows\.parquet"):
        open_stream(path)
