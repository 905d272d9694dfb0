"""`predict --out`: whatever happened to the file, the same call ends with the same bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antivenom.core.errors import ArtifactError
from antivenom.data.query import Asked, Query, Turn, as_query
from antivenom.inference.answers_file import answer_to_file

ASKED: list[Asked] = ["one", "two", "two", Query("two", (Turn("user", "before"),)), "five", "line\nbreak", "é"]
SETTINGS = {"weights": "w"}


class Said:
    def __init__(self, text: str) -> None:
        self.text = text

    def to_dict(self) -> dict[str, Any]:
        return {"answer": self.text.upper()}


class Echo:
    """Answers with the text in capitals, and counts."""

    def __init__(self) -> None:
        self.count = 0

    def predict_stream(
        self, asked: Iterable[Asked], *, progress: str | None = None, total: int | None = None
    ) -> Iterator[tuple[Asked, Said]]:
        for one in asked:
            self.count += 1
            yield one, Said(as_query(one).text)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    out = tmp_path_factory.mktemp("answers") / "a.jsonl"
    assert answer_to_file(Echo(), ASKED, out, settings=SETTINGS) == len(ASKED)
    assert out.stat().st_mode & 0o777 == 0o600
    return out.read_bytes().splitlines(keepends=True)


damage = st.sampled_from(["lose", "double", "break", "swap", "junk", "cut", "other"])


@given(st.integers(0, len(ASKED) - 1), st.integers(0, len(ASKED) - 1), damage, st.integers(1, 20))
def test_lost_doubled_and_broken_lines_are_mended(tmp_path_factory, whole, one, other, kind, cut):
    out, lines = tmp_path_factory.mktemp("answers") / "a.jsonl", list(whole)
    answer_to_file(Echo(), ASKED, out, settings=SETTINGS)
    if kind == "lose":
        del lines[one]
    elif kind == "double":
        lines.insert(one, lines[other])
    elif kind == "break":
        lines[one] = lines[one][:-cut] + b"\n"
    elif kind == "swap":
        lines[one], lines[other] = lines[other], lines[one]
    elif kind == "junk":
        lines.insert(one, b'\xff{"row": NaN\n')
    elif kind == "cut":
        lines = [b"".join(lines)[: -cut * 9]]
    else:
        lines.append(lines[other])
    out.write_bytes(b"".join(lines))
    assert answer_to_file(Echo(), ASKED, out, settings=SETTINGS) == len(ASKED)
    assert out.read_bytes() == b"".join(whole)


def test_what_is_answered_is_not_asked_again(tmp_path, whole):
    out, model = tmp_path / "a.jsonl", Echo()
    answer_to_file(Echo(), ASKED[:4], out, settings=SETTINGS)
    answer_to_file(model, ASKED, out, settings=SETTINGS)
    assert model.count == len(ASKED) - 4
    assert out.read_bytes() == b"".join(whole)


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.run.json"])
def test_a_foreign_file_is_left_alone(tmp_path: Path, name):
    (tmp_path / name).write_text('{"mine": 1}', encoding="utf-8")
    with pytest.raises(ArtifactError):
        answer_to_file(Echo(), ASKED, tmp_path / "a.jsonl", settings=SETTINGS)
    assert [(path.name, path.read_text("utf-8")) for path in tmp_path.iterdir()] == [(name, '{"mine": 1}')]


def test_a_link_is_not_followed(tmp_path: Path):
    target = tmp_path / "target"
    (tmp_path / "a.jsonl").symlink_to(target)
    with pytest.raises(ArtifactError):
        answer_to_file(Echo(), ASKED, tmp_path / "a.jsonl", settings=SETTINGS)
    assert not target.exists()
