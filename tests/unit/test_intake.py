"""The door in: regular files inside their folder, strict JSON, and no foreign exception gets through."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from antivenom.core.errors import AntivenomError, ArtifactError, RowsError
from antivenom.core.intake import foreign, open_regular, read_json, regular_files, require_regular, strict_json


def test_a_regular_file_inside_its_folder_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"x": [1, 2.5, "é"]}', encoding="utf-8")
    (tmp_path / "link.json").symlink_to(tmp_path / "a.json")
    for name in ("a.json", "link.json"):
        assert read_json(tmp_path / name, root=tmp_path) == {"x": [1, 2.5, "é"]}


def test_pipes_devices_folders_links_out_and_large_files_are_refused(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    (outside / "secret").write_text("s")
    (inside / "link").symlink_to(outside / "secret")
    (inside / "loop").symlink_to(inside / "loop")
    os.mkfifo(inside / "pipe")
    (inside / "large").write_bytes(b"x" * 100)
    names = [inside / "link", inside / "loop", inside / "pipe", inside / "large", inside, inside / "none"]
    for path in [*names, inside / "../out/secret", Path("/dev/zero"), inside / "nul\0"]:
        with pytest.raises(ArtifactError):
            open_regular(path, error=ArtifactError, root=inside, most_bytes=99)
    with pytest.raises(AntivenomError, match="pipe"):
        require_regular(inside / "pipe")
    assert require_regular(inside / "large", most_bytes=100).name == "large"


def test_a_folder_is_walked_whole(tmp_path: Path) -> None:
    (tmp_path / "b" / "c").mkdir(parents=True)
    for name in ("a", "b/x", "b/c/y"):
        (tmp_path / name).write_text(name)
    assert [str(path.relative_to(tmp_path)) for path in regular_files(tmp_path)] == ["a", "b/x", "b/c/y"]
    (tmp_path / "b" / "out").symlink_to("/etc/hostname")
    with pytest.raises(RowsError, match="leads out"):
        regular_files(tmp_path, error=RowsError)
    assert len(regular_files(tmp_path, skip=lambda path: path.name == "out")) == 3
    with pytest.raises(AntivenomError, match="more than 2"):
        regular_files(tmp_path, most_files=2, skip=lambda path: path.name == "out")


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, "a": 2}',
        "[NaN]",
        "[Infinity]",
        "[-Infinity]",
        "[1e999]",
        '["\\ud800"]',
        "[" * 5000 + "]" * 5000,
        "[" * 100_000,
        "{",
        "",
        "1" * 5000,
        '{"a": {"b": [{"c": 1, "c": 1}]}}',
    ],
)
def test_json_that_readers_disagree_about_is_refused(text: str) -> None:
    with pytest.raises(ArtifactError, match="here"):
        strict_json(text, "here", error=ArtifactError)


def test_brackets_in_strings_are_no_depth() -> None:
    text = '["' + "[" * 1000 + '\\"' + "{" * 1000 + '", {"a": []}]'
    assert strict_json(text, "here")[1] == {"a": []}


class PanicException(BaseException):
    """As the extensions written in Rust raise it."""


@pytest.mark.parametrize(
    "raised",
    [ValueError("one\ntwo"), KeyError("x"), RecursionError(), MemoryError(), PanicException("p"), StopIteration()],
)
def test_what_a_loader_raises_names_the_file(raised: BaseException) -> None:
    with pytest.raises(ArtifactError, match="m: unreadable") as caught, foreign("m: unreadable", error=ArtifactError):
        raise raised
    assert all(word in str(caught.value) for word in str(raised).split())


@pytest.mark.parametrize("raised", [KeyboardInterrupt(), SystemExit(3), RowsError("ours")])
def test_interruptions_and_our_own_errors_pass(raised: BaseException) -> None:
    with pytest.raises(type(raised)) as caught, foreign("m", error=ArtifactError):
        raise raised
    assert caught.value is raised
