from __future__ import annotations

import csv
from pathlib import Path

import pytest

from antivenom.testing import synthetic_rows


@pytest.fixture
def user_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model_folder: Path) -> Path:
    """A user's folder with the README's files; the embedded model is replaced by a tiny random one."""
    rows = synthetic_rows(140).to_pylist()
    parts = {"vouched.csv": rows[:30], "reviews.csv": rows[:100], "test.csv": rows[100:]}
    for name, part in parts.items():
        with (tmp_path / name).open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["text", "label"])
            writer.writerows([row["text"], row["answer"]] for row in part)
    monkeypatch.setattr("antivenom.models.base_model.embedded_model", lambda: model_folder)
    monkeypatch.chdir(tmp_path)
    return tmp_path
