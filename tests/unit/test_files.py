from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antivenom.core.files import atomic_write, remove_tree, write_json
from antivenom.core.hashing import digest_of_files, row_keys
from antivenom.data.digests import digest_of_table
from antivenom.data.rows import table_of

texts = st.lists(st.text(st.characters(codec="utf-8")), max_size=20)


@given(texts, st.integers(0, 20))
def test_digests_do_not_depend_on_chunks(rows, cut):
    table = table_of(rows, ["x"] * len(rows))
    assert digest_of_table(pa.concat_tables([table.slice(0, cut), table.slice(cut)])) == digest_of_table(table)


@pytest.mark.parametrize(
    "other", [(["ab", "c"], ["x", "y"]), (["a", "bc", ""], ["x", "y", "x"]), (["bc", "a"], ["x", "y"]), ([], [])]
)
def test_digests_tell_tables_apart(other):
    assert digest_of_table(table_of(["a", "bc"], ["x", "y"])) != digest_of_table(table_of(*other))


def test_digests_of_files_cover_names_and_bytes(tmp_path):
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_bytes(b"1")
    second.write_bytes(b"2")
    whole = digest_of_files([first, second])
    assert digest_of_files([second, first]) == whole
    second.write_bytes(b"3")
    assert digest_of_files([first, second]) != whole


@given(texts)
def test_row_keys_depend_on_text_seed_and_purpose_alone(rows):
    keys = row_keys(pa.array(rows, pa.string()), seed=1, purpose="p")
    assert keys.dtype == np.uint64
    for i, row in enumerate(rows):
        assert row_keys(pa.array([row]), seed=1, purpose="p")[0] == keys[i]
    if rows:
        assert (row_keys(pa.array(rows), seed=2, purpose="p") != keys).all()
        assert (row_keys(pa.array(rows), seed=1, purpose="q") != keys).all()


def test_row_keys_stay_the_same_between_versions():
    """Stored experiments name rows by these draws; a change would break every record."""
    keys = row_keys(pa.array(["a film", "ein Film"]), seed=0, purpose="reserve")
    assert keys.tolist() == [16935648917346137767, 4262772493909988080]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "deep" / "a.json"
    write_json(path, {"b": 1, "a": "ü"})
    assert path.read_text(encoding="utf-8") == '{\n  "a": "ü",\n  "b": 1\n}\n'

    def fail() -> None:
        with atomic_write(path) as file:
            file.write("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert json.loads(path.read_text(encoding="utf-8")) == {"a": "ü", "b": 1}
    assert [entry.name for entry in path.parent.iterdir()] == ["a.json"]


def test_a_folder_whose_removal_was_killed_is_still_known_and_holds_nothing_that_looks_whole(tmp_path, monkeypatch):
    folder = tmp_path / "store"
    (folder / "fit").mkdir(parents=True)
    for name in ("fit/manifest", "note", "seed.json", "work.npy"):
        (folder / name).write_text("x")
    unlink = Path.unlink

    def killed(path, **how):
        if path.name == "seed.json":
            raise KeyboardInterrupt
        unlink(path, **how)

    monkeypatch.setattr(Path, "unlink", killed)
    with pytest.raises(KeyboardInterrupt):
        remove_tree(folder, last=("seed.json", "note"))
    assert sorted(path.name for path in folder.iterdir()) == ["note", "seed.json"]
    monkeypatch.undo()
    remove_tree(folder, last=("seed.json", "note"))
    assert not folder.exists()
