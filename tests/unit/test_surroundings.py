"""What a test leaves around it is told with its name."""

from __future__ import annotations

from surroundings import Surroundings


def test_what_is_left_is_told(monkeypatch, tmp_path):
    for name in ("HOME", "TMPDIR", "ANTIVENOM_CACHE", "HF_HOME", "PYTEST_DEBUG_TEMPROOT"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "repository").mkdir()
    (tmp_path / "repository" / "README.md").write_text("before", encoding="utf-8")
    monkeypatch.setattr("surroundings.REPOSITORY", tmp_path / "repository")
    around = Surroundings()
    (around.home / ".cache").mkdir()
    assert around.left() == []
    (around.temporary / "forgotten").touch()
    around.look("test_a")
    around.look("test_b")
    (around.home / ".profile").touch()
    assert around.left() == [f"{around.temporary}/forgotten (after test_a)", f"{around.home}/.profile (after the end)"]
    (tmp_path / "repository" / "README.md").write_text("behind", encoding="utf-8")
    assert around.left()[2:] == ["README.md in the repository"]
    around.remove()
    assert not around.root.exists()
